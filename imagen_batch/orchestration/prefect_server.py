"""Which Prefect server does a run talk to?

The one of PREFECT_API_URL if that is set. Else a child process of our own: Prefect's built-in temporary
server gets a terminal's Ctrl-C before the run does, which then retries against a closed port for minutes, and
it stays behind when the run is killed. Ours has a session of its own, logs to a file, ends with its parent.

`python -m imagen_batch.orchestration.prefect_server PORT` is that child.
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
from imagen_batch.orchestration.prefect_env import QUIET, quieten
from imagen_batch.system.child_env import child_environment

_BOOT_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 5.0
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy for this machine


class OwnServer:
    """A Prefect server that boots in the background and lives as long as this process."""

    def __init__(self, env: MutableMapping[str, str] = os.environ) -> None:
        self.used = False
        self._home = Path(env.get("PREFECT_HOME") or Path.home() / ".prefect")
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            (self._home / "imagen-batch-server.log").open("ab").close()
        except OSError as error:
            raise SettingsInvalid(f"PREFECT_HOME {self._home}: can't be used: {error.strerror}") from error
        self.first_boot = not (self._home / "prefect.db").exists()
        self.log = self._home / "imagen-batch-server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._child = self._start()
        env["PREFECT_API_URL"] = self.url
        # Registered before Prefect registers its own drains: what is registered first runs last.
        atexit.register(self.stop)

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self._port}/api"

    def wait(self) -> None:
        """Wait until it answers. Raises SettingsInvalid, which names its log, when it does not."""
        ends = time.monotonic() + _BOOT_TIMEOUT_S
        while not self._answers():
            if self._child.poll() is not None or time.monotonic() > ends:
                self.stop()
                raise SettingsInvalid(f"Prefect's server did not start; its log is {self.log}")
            time.sleep(0.05)

    @property
    def lives(self) -> bool:
        """Whether its process has not ended."""
        return self._child.poll() is None

    def kill(self) -> None:
        """End it at once; its database survives this as it would a power cut."""
        self._child.kill()
        self.stop()

    def stop(self) -> None:
        """End it. Waits a little, then insists."""
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
                # -P: a folder `flows` of the user's own, in the current directory, is not ours.
                [sys.executable, "-P", "-m", "imagen_batch.orchestration.prefect_server", str(self._port)],
                stdin=subprocess.PIPE,  # closes when this process ends, however it ends
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **child_environment(beginnings=("PREFECT_",)),
                    **QUIET,
                    "PREFECT_HOME": str(self._home),
                    "PREFECT_UI_ENABLED": "false",
                },
            )

    def _answers(self) -> bool:
        with suppress(OSError), _direct.open(self.url + "/health", timeout=2) as reply:
            return bool(reply.status == 200)
        return False


def serve(port: int) -> None:
    """Run a Prefect server on this machine until standard input closes."""
    quieten()
    os.environ["PREFECT__SERVER_EPHEMERAL"] = "1"
    import uvicorn  # noqa: PLC0415 - only the child needs it
    from prefect.server.api.server import create_app  # noqa: PLC0415

    server = uvicorn.Server(
        uvicorn.Config(create_app(), host="127.0.0.1", port=port, log_level="error", lifespan="on")
    )
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server.run()


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # nobody is left to be served; its database survives this as it would a power cut


if __name__ == "__main__":
    serve(int(sys.argv[1]))
