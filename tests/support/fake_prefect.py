"""A replacement for a Prefect server: it stores what a run records, and can stop replying."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from imagen_batch.orchestration.recording.prefect_api import Refused, Unavailable


class FakeServer:
    """Stores what Prefect's server would; fails the calls whose numbers are in `failing`."""

    def __init__(self, failing: Iterable[int] = (), status: int = 503) -> None:
        self.failing, self.status, self.calls = set(failing), status, 0
        self.states: dict[str, list[str]] = {}
        self.logs: list[dict[str, Any]] = []
        self.artifacts: list[dict[str, Any]] = []
        self.by_key: dict[Any, str] = {}
        self.tags: list[str] = []  # of the latest flow run
        self.canceled = False

    def get(self, path: str) -> Any:
        """Return the state of a run."""
        return {"state_type": "CANCELLING" if self.canceled else self.states[path.split("/")[2]][-1]}

    def post(self, path: str, body: Any) -> Any:
        """Store what a call records, and return the reply."""
        self.calls += 1
        if self.calls in self.failing:
            raise Unavailable("HTTP 503") if self.status >= 500 else Refused(self.status, "no")
        if path in ("/flow_runs/", "/task_runs/"):
            self.tags = body.get("tags", self.tags)
            key = body.get("idempotency_key") or (body["flow_run_id"], body["dynamic_key"])
            run_id = self.by_key.setdefault(key, f"id-{len(self.by_key)}")
            self.states.setdefault(run_id, [body["state"]["type"]])
            return {"id": run_id, "state_type": self.states[run_id][-1]}
        if path.endswith("/set_state"):
            self.states[path.split("/")[2]].append(body["state"]["type"])
        if path == "/logs/":
            self.logs += body
        if path == "/artifacts/":
            self.artifacts.append(body)
        return {"id": f"new-{self.calls}"}

    def patch(self, path: str, body: Any) -> None:
        """Do the same as `post`."""
        self.post(path, body)


class FakePrefect(ThreadingHTTPServer):
    """The same server over HTTP. Unless `answering` is set, it accepts connections and sends no reply."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = FakeServer()
        self.lock = threading.Lock()
        self.answering = threading.Event()
        self.answering.set()

    @property
    def url(self) -> str:
        """Return the value for PREFECT_API_URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/api"


class _Handler(BaseHTTPRequestHandler):
    server: FakePrefect

    def do_GET(self) -> None:
        path = self.path.removeprefix("/api")
        self._answer(self.server.store.get(path) if path.startswith("/flow_runs/") else True)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            reply = self.server.store.post(self.path.removeprefix("/api"), body)
        self._answer(reply)

    def do_PATCH(self) -> None:
        self.do_POST()

    def log_message(self, *_args: Any) -> None:
        """Print nothing."""

    def _answer(self, value: Any) -> None:
        if not self.server.answering.wait(60):
            return
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def fake_prefect() -> Iterator[FakePrefect]:
    """Run the server for the block."""
    with FakePrefect() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.answering.set()
            server.shutdown()
