"""A web server on loopback that records what it gets."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Listener:
    """What arrived: method and path of each request, and its body."""

    def __init__(self, *, status: int, delay: float) -> None:
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        self.status = status
        self.delay = delay
        self.released = threading.Event()
        self.url = ""

    @property
    def host(self) -> str:
        """Host and port."""
        return self.url.partition("://")[2]

    def wait_for(self, count: int) -> list[str]:
        """The paths, once `count` requests have arrived."""
        deadline = time.monotonic() + 10
        while len(self.paths) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        return list(self.paths)


@contextmanager
def listen(*, status: int = 200, delay: float = 0.0) -> Iterator[Listener]:
    """Answer every request with `status`, after `delay` seconds or at the end of the block."""
    listener = Listener(status=status, delay=delay)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            listener.bodies.append(self.rfile.read(length))
            listener.paths.append(self.path)
            if listener.delay:
                listener.released.wait(listener.delay)
            try:
                self.send_response(listener.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                pass

        do_POST = do_GET  # noqa: N815 - the names of the base class

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    listener.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        listener.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
