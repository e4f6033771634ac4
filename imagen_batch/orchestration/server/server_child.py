"""The process of a run's own Prefect server. It ends with the run, and may record that run before it does."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from imagen_batch.orchestration.server.bound_log_size import LOG, bound_log_size
from imagen_batch.orchestration.server.environment import set_quiet_defaults
from imagen_batch.orchestration.server.stop_and_record_commands import ACCEPTED, RECORD, STOP
from imagen_batch.system.file_lock import hold_file_lock

_REMOVE_OLD_RUNS = {"schedule_vacuum_tasks", "schedule_orphan_vacuum_tasks"}
_BOOT_LOCK_S = 60.0
_RECORD_S = 120.0
_END_S = 5.0
_POLL_S = 0.02
_LOG_S = 60.0  # between looks at the length of the log


class Server(Protocol):
    """The part of uvicorn's server that is used here."""

    started: bool
    should_exit: bool


class RunMessage:
    """The message that the run sends at its end. `received` is set once it has arrived."""

    def __init__(self) -> None:
        self.message = b""
        self.received = threading.Event()

    def listen(self) -> None:
        """Wait for the message. Then end this process in a bounded time, or at once if the run has died."""
        self.message = os.read(0, len(RECORD))
        if self.message not in (STOP, RECORD):
            os._exit(0)  # no client is left; the database survives this like a power failure
        self.received.set()
        if self.message == RECORD:
            os.write(0, ACCEPTED)
        time.sleep(_RECORD_S if self.message == RECORD else _END_S)
        os._exit(0)


def serve(port: int, *, home: Path) -> None:
    """Run a Prefect server on this machine until the run that started it ends."""
    run_message = RunMessage()
    threading.Thread(target=run_message.listen, daemon=True).start()
    set_quiet_defaults()
    os.environ["PREFECT__SERVER_EPHEMERAL"] = "1"
    booting = ExitStack()
    # Two servers that create the same database at once would both fail.
    booting.enter_context(hold_file_lock(home / "imagen-batch-boot.lock", patience=_BOOT_LOCK_S))
    import uvicorn  # noqa: PLC0415 - importing it and Prefect takes seconds
    from prefect.server.api.server import create_app  # noqa: PLC0415

    _remove_old_runs()
    server = uvicorn.Server(
        uvicorn.Config(create_app(), host="127.0.0.1", port=port, log_level="error", lifespan="on")
    )

    def record_and_end() -> None:
        _wait_until_started(server)
        booting.close()
        _record_unrecorded(home, port)
        _end_killed_runs(home, port)
        while not run_message.received.wait(_LOG_S):
            bound_log_size(home / LOG)
        if run_message.message == RECORD:
            _record_unrecorded(home, port)
        server.should_exit = True

    threading.Thread(target=record_and_end, daemon=True).start()
    server.run()


def _remove_old_runs() -> None:
    """Let this server remove old flow runs. By itself Prefect does that only in servers that keep running."""
    from prefect.server.services.perpetual_services import get_perpetual_services  # noqa: PLC0415

    for service in get_perpetual_services():
        if service.function.__name__ in _REMOVE_OLD_RUNS:
            service.run_in_ephemeral = True


def _wait_until_started(server: Server) -> None:
    while not server.started:
        time.sleep(_POLL_S)


def _record_unrecorded(home: Path, port: int) -> None:
    from imagen_batch.orchestration.recording.unrecorded_runs import record_unrecorded  # noqa: PLC0415 - rarely needed

    try:
        record_unrecorded(home, f"http://127.0.0.1:{port}/api")
    except Exception:  # noqa: BLE001 - this process has a log, and the next one tries again
        traceback.print_exc(file=sys.stderr)


def _end_killed_runs(home: Path, port: int) -> None:
    from imagen_batch.orchestration.recording.killed_runs import OWN_SERVER, end_killed_runs  # noqa: PLC0415
    from imagen_batch.orchestration.recording.prefect_api import PrefectApi  # noqa: PLC0415

    try:
        end_killed_runs(home, server=OWN_SERVER, api=PrefectApi(f"http://127.0.0.1:{port}/api"))
    except Exception:  # noqa: BLE001 - the next server tries again
        traceback.print_exc(file=sys.stderr)
