"""Starts a Prefect server as a child process, for a run without PREFECT_API_URL.

Prefect's own temporary server does not fit: it gets a terminal's Ctrl-C before the run does, which then retries
against a closed port for minutes, and it keeps running when the run is killed. This one has its own session, logs to
a file and ends with its parent. Only a run that ends normally before Prefect has recorded it may leave the
server running, until the recording is done. `server_child.py` is the program of that process.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
import time
from collections.abc import MutableMapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration.server.bound_log_size import LOG, bound_log_size
from imagen_batch.orchestration.server.environment import KEEP_90_DAYS, QUIET, prefect_home
from imagen_batch.orchestration.server.stop_and_record_commands import ACCEPTED, RECORD, STOP
from imagen_batch.system.child_env import child_environment

if TYPE_CHECKING:
    import subprocess

_BOOT_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 5.0


class OwnServer:
    """A Prefect server that boots in the background and ends with this process."""

    def __init__(self, env: MutableMapping[str, str] = os.environ, *, start: bool = True) -> None:
        self.used = False
        self.home = prefect_home(env)
        self.log = self.home / LOG
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self.log.open("ab").close()
            bound_log_size(self.log)
        except OSError as error:
            raise SettingsInvalid(f"PREFECT_HOME {self.home} can't be used: {error.strerror}") from error
        self.first_boot = not (self.home / "prefect.db").exists()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._child: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        env["PREFECT_API_URL"] = self.url
        if start:
            self.start()

    @property
    def url(self) -> str:
        """The address of the server's API."""
        return f"http://127.0.0.1:{self._port}/api"

    def start(self) -> None:
        """Start the server's process."""
        import subprocess  # noqa: PLC0415 - not before the first request

        ours, theirs = socket.socketpair()
        with ExitStack() as on_error, theirs, self.log.open("ab") as log:
            on_error.enter_context(ours)
            self._child = subprocess.Popen(  # noqa: S603 - our own module
                # -P: do not import packages from the current directory, such as a user's own `prefect` folder.
                [sys.executable, "-P", "-m", "imagen_batch.orchestration.server.own_server", str(self._port)],
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={
                    **KEEP_90_DAYS,
                    **child_environment(prefixes=("PREFECT_",)),
                    **QUIET,
                    "PREFECT_HOME": str(self.home),
                    "PREFECT_UI_ENABLED": "false",
                },
            )
            on_error.pop_all()
        self._channel = ours
        # Registered before Prefect registers its own exit handlers: what is registered first runs last.
        atexit.register(self.stop)

    def wait(self) -> None:
        """Wait until the server answers. Raises SettingsInvalid with the path of its log if it does not."""
        deadline = time.monotonic() + _BOOT_TIMEOUT_S
        while not self._answers():
            if not self.is_running or time.monotonic() > deadline:
                self.kill()
                raise SettingsInvalid(f"Prefect's server did not start; its log is {self.log}")
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """The process ID of the server."""
        assert self._child is not None
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether the server's process is still running."""
        return self._child is not None and self._child.poll() is None

    def kill(self) -> None:
        """Kill the server at once; its database survives that like a power failure."""
        if self._child is not None:
            self._child.kill()
        self.stop()

    def stop(self) -> None:
        """Terminate the server, and kill it if it does not end within a few seconds."""
        if self._child is not None and self._channel is not None and self._child.poll() is None:
            self._child.terminate()
            import subprocess  # noqa: PLC0415 - not before the first request

            try:
                self._child.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._close_channel()

    def release(self) -> None:
        """Let the server end by itself, in at most a few seconds; what was recorded is on disk."""
        if self._send(STOP):
            self._close_channel()
        else:
            self.kill()

    def hand_over(self, *, patience: float) -> bool:
        """Let the server record what is unrecorded and end; False if it does not answer within `patience` seconds."""
        if self._channel is None or not self._send(RECORD):
            return False
        self._channel.settimeout(patience)
        try:
            accepted = self._channel.recv(len(ACCEPTED)) == ACCEPTED
        except OSError:
            return False
        if accepted:
            self._close_channel()
        return accepted

    def _send(self, message: bytes) -> bool:
        with suppress(OSError):
            if self._channel is not None:
                self._channel.sendall(message)
                return True
        return False

    def _close_channel(self) -> None:
        """Close the channel: the process gets no further message."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _answers(self) -> bool:
        import urllib.request  # noqa: PLC0415 - not needed before the first request

        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(OSError), opener.open(self.url + "/health", timeout=2) as reply:
            return bool(reply.status == 200)
        return False


if __name__ == "__main__":
    from imagen_batch.orchestration.server.server_child import serve

    serve(int(sys.argv[1]), home=Path(os.environ["PREFECT_HOME"]))
