"""Starts a Prefect server as a child process, for a run without PREFECT_API_URL.

Prefect's own temporary server does not fit: it gets a terminal's Ctrl-C before the run does, which then retries
against a closed port for minutes, and it keeps running when the run is killed. This one has its own session, logs to
a file and ends with its parent.

`python -m imagen_batch.orchestration.server.own_server PORT` is that child.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration.server.environment import QUIET, set_quiet_defaults
from imagen_batch.system.child_env import child_environment

_BOOT_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 5.0
_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class OwnServer:
    """A Prefect server that boots in the background and ends with this process."""

    def __init__(self, env: MutableMapping[str, str] = os.environ) -> None:
        self.used = False
        self._home = Path(env.get("PREFECT_HOME") or Path.home() / ".prefect")
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            (self._home / "imagen-batch-server.log").open("ab").close()
        except OSError as error:
            raise SettingsInvalid(f"PREFECT_HOME {self._home} can't be used: {error.strerror}") from error
        self.first_boot = not (self._home / "prefect.db").exists()
        self.log = self._home / "imagen-batch-server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._child = self._start()
        env["PREFECT_API_URL"] = self.url
        # Registered before Prefect registers its own exit handlers: what is registered first runs last.
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self._port}/api"

    def wait(self) -> None:
        """Wait until it answers. Raises SettingsInvalid with the path of its log if it does not."""
        deadline = time.monotonic() + _BOOT_TIMEOUT_S
        while not self._answers():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SettingsInvalid(f"Prefect's server did not start; its log is {self.log}")
            time.sleep(0.05)

    @property
    def is_running(self) -> bool:
        """Whether its process is still running."""
        return self._child.poll() is None

    def kill(self) -> None:
        """Kill it at once; its database survives that like a power failure."""
        self._child.kill()
        self.stop()

    def stop(self) -> None:
        """Terminate it, and kill it if it does not end within a few seconds."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._child.stdin:
            self._child.stdin.close()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own module
                # -P: do not import packages from the current directory, such as a user's own `prefect` folder.
                [sys.executable, "-P", "-m", "imagen_batch.orchestration.server.own_server", str(self._port)],
                stdin=subprocess.PIPE,  # closes when this process ends, however it ends
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **child_environment(prefixes=("PREFECT_",)),
                    **QUIET,
                    "PREFECT_HOME": str(self._home),
                    "PREFECT_UI_ENABLED": "false",
                },
            )

    def _answers(self) -> bool:
        with suppress(OSError), _without_proxy.open(self.url + "/health", timeout=2) as reply:
            return bool(reply.status == 200)
        return False


def serve(port: int) -> None:
    """Run a Prefect server on this machine until standard input closes."""
    set_quiet_defaults()
    os.environ["PREFECT__SERVER_EPHEMERAL"] = "1"
    import uvicorn  # noqa: PLC0415 - only needed by the child
    from prefect.server.api.server import create_app  # noqa: PLC0415

    server = uvicorn.Server(
        uvicorn.Config(create_app(), host="127.0.0.1", port=port, log_level="error", lifespan="on")
    )
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server.run()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # no client is left; the database survives this like a power failure


if __name__ == "__main__":
    serve(int(sys.argv[1]))
