"""Attaches Prefect to an execution, in a thread that the run can do without.

Prefect's client retries for minutes when its server is gone. Therefore one daemon thread does everything that needs
the server; the run waits for it a bounded time at the start and at the end, and does not depend on it otherwise.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress

from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.server.own_server import OwnServer
from imagen_batch.orchestration.server.reachability import is_reachable

# Seconds to wait for a server that does not answer, and for one that answers slowly, on a busy machine.
_START_S, _SLOW_START_S = 10.0, 120.0
_END_S, _SLOW_END_S = 3.5, 30.0
_PROBE_S = 1.0
_POLL_S = 0.1


class Attachment:
    """Prefect's side of an execution. `server` is a child of this process; None if the user runs a server."""

    def __init__(self, execution: Execution, server: OwnServer | None) -> None:
        self._execution = execution
        self._server = server
        self._error: BaseException | None = None
        self._state: str | None = None  # the message of the flow run's final state
        self._recorded = False
        self._server_up = threading.Event()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="prefect", daemon=True).start()

    def wait(self) -> str | None:
        """Wait until Prefect's flow run has begun; return None, or the reason why it has not."""
        while not self._server_up.wait(_POLL_S):
            if self._ended.is_set():
                return self._reason()
        if self._in_time(self._execution.attached, _START_S, _SLOW_START_S):
            return None
        return self._reason()

    def finish(self, exit_code: int) -> str | None:
        """Give Prefect a bounded time to record the end of the run; return None if it did, else a warning.

        If it did not, the process will end with `exit_code` without waiting for Prefect any longer.
        """
        try:
            in_time = self._in_time(self._ended, _END_S, _SLOW_END_S)
        except (KeyboardInterrupt, SystemExit):  # the user does not want to wait any longer
            in_time = False
        if in_time and self._recorded:
            return None
        reason = self._reason()
        self.abandon(exit_code)
        return (
            f"Prefect did not record the end of this run: {reason}. Images, manifest and summary do not depend on it."
        )

    def abandon(self, exit_code: int) -> None:
        """Continue without Prefect; the process will end with `exit_code`."""
        _exit_without_prefect(exit_code)
        if self._server is not None:
            self._server.kill()

    def _in_time(self, event: threading.Event, patience: float, slow: float) -> bool:
        """Wait for `event`: `patience` seconds, or `slow` seconds while the server answers."""
        began = time.monotonic()
        while not event.wait(_POLL_S):
            waited = time.monotonic() - began
            if self._ended.is_set() or self._server_died() or waited > slow:
                break
            if waited > patience and not self._server_answers():
                break
        return event.is_set()

    def _run(self) -> None:
        try:
            if self._server is not None:
                self._server.wait()
            self._server_up.set()
            self._watch()
        except BaseException as error:  # noqa: BLE001 - reported by the thread that waits for this one
            self._error = error
        finally:
            self._ended.set()

    def _watch(self) -> None:
        from imagen_batch.orchestration.flow import watching_flow  # noqa: PLC0415 - importing it takes a second
        from imagen_batch.orchestration.server.environment import log_to_file  # noqa: PLC0415

        log_to_file()
        flow = watching_flow(self._execution, on_own_server=self._server is not None)
        state = flow(self._execution.run.plan.settings, return_state=True)
        self._state = state.message
        self._recorded = not state.is_crashed()
        _drain()

    def _server_died(self) -> bool:
        return self._server is not None and not self._server.is_running

    def _server_answers(self) -> bool:
        return not self._server_died() and is_reachable(os.environ.get("PREFECT_API_URL", ""), timeout=_PROBE_S)

    def _reason(self) -> str:
        if self._server is not None and not self._server_up.is_set():
            return "its server did not start"
        if self._server_died():
            return "its server ended"
        if self._error is not None:
            return " ".join(str(self._error).split()) or type(self._error).__name__
        if self._ended.is_set():
            return self._state or "the flow did not start"
        return "its server does not answer"


def _drain() -> None:
    """Send the events and logs that Prefect has queued. At the exit of the process that would take unbounded time."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all()


def _exit_without_prefect(exit_code: int) -> None:
    """End this process without waiting for Prefect's threads, which may retry for minutes."""

    def exit_now() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(exit_code)

    # What is registered last runs first, so before the exit handlers that Prefect registers here.
    register = getattr(threading, "_register_atexit")  # noqa: B009 - as Prefect does; missing in typeshed
    register(exit_now)
