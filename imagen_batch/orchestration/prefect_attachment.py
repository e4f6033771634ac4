"""Attaches Prefect to an execution, in a thread that the run can do without.

Prefect's client retries for minutes when its server is gone. So everything that speaks with it happens in one daemon
thread: the run waits for it a bounded time at the start and at the end, and otherwise goes on alone.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress

from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.prefect_reachable import answers
from imagen_batch.orchestration.prefect_server import OwnServer

# Seconds for a server that does not answer, before it is asked once more, and for one that does, on a busy machine.
_HELLO_S, _SLOW_HELLO_S = 10.0, 120.0
_GOODBYE_S, _SLOW_GOODBYE_S = 3.5, 30.0
_PROBE_S = 1.0
_LOOK_EVERY_S = 0.1


class Attached:
    """Prefect's side of an execution. `server` is a child of this process, or None where the user runs one."""

    def __init__(self, execution: Execution, server: OwnServer | None) -> None:
        self._execution = execution
        self._server = server
        self._error: BaseException | None = None
        self._state: str | None = None  # the flow run's last message
        self._recorded = False
        self._up = threading.Event()
        self._over = threading.Event()
        threading.Thread(target=self._run, name="prefect", daemon=True).start()

    def wait(self) -> str | None:
        """Wait until Prefect's flow run has begun; None then, else why it has not."""
        while not self._up.wait(_LOOK_EVERY_S):
            if self._over.is_set():
                return self._why()
        if self._in_time(self._execution.attached, _HELLO_S, _SLOW_HELLO_S):
            return None
        return self._why()

    def goodbye(self, exit_code: int) -> str | None:
        """Let Prefect record the end of the run, within bounds; None when it did, else what it missed.

        When it did not, the process will end with `exit_code` without waiting for Prefect any longer.
        """
        try:
            in_time = self._in_time(self._over, _GOODBYE_S, _SLOW_GOODBYE_S)
        except (KeyboardInterrupt, SystemExit):  # a signal: whoever is waiting wants to wait no longer
            in_time = False
        if in_time and self._recorded:
            return None
        why = self._why()
        self.abandon(exit_code)
        return f"Prefect did not record the end of this run: {why}. Images, manifest and summary do not depend on it."

    def abandon(self, exit_code: int) -> None:
        """Go on without Prefect; the process will end with `exit_code`."""
        _leave_without_prefect(exit_code)
        if self._server is not None:
            self._server.kill()

    def _in_time(self, event: threading.Event, patience: float, slow: float) -> bool:
        """Whether `event` comes: within `patience` seconds, or `slow` ones while the server answers."""
        began = time.monotonic()
        while not event.wait(_LOOK_EVERY_S):
            waited = time.monotonic() - began
            if self._over.is_set() or self._died() or waited > slow:
                break
            if waited > patience and not self._server_answers():
                break
        return event.is_set()

    def _run(self) -> None:
        try:
            if self._server is not None:
                self._server.wait()
            self._up.set()
            self._watch()
        except BaseException as error:  # noqa: BLE001 - said by whoever waits for this thread
            self._error = error
        finally:
            self._over.set()

    def _watch(self) -> None:
        from imagen_batch.orchestration.flow import adopting, generate_images  # noqa: PLC0415 - a second of importing
        from imagen_batch.orchestration.prefect_env import log_to_file  # noqa: PLC0415

        log_to_file()
        with adopting(self._execution):
            state = generate_images(self._execution.run.plan.settings, return_state=True)
        self._state = state.message
        self._recorded = not state.is_crashed()
        _drain()

    def _died(self) -> bool:
        return self._server is not None and not self._server.lives

    def _server_answers(self) -> bool:
        return not self._died() and answers(os.environ.get("PREFECT_API_URL", ""), timeout=_PROBE_S)

    def _why(self) -> str:
        if self._server is not None and not self._up.is_set():
            return "its server did not start"
        if self._died():
            return "its server ended"
        if self._error is not None:
            return " ".join(str(self._error).split()) or type(self._error).__name__
        if self._over.is_set():
            return self._state or "the flow did not start"
        return "its server does not answer"


def _drain() -> None:
    """Send what Prefect has queued: events and logs. Later, at the exit of the process, it would be unbounded."""
    from prefect.events.worker import EventsWorker  # noqa: PLC0415
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415

    for worker in (APILogWorker, EventsWorker):
        worker.drain_all()


def _leave_without_prefect(exit_code: int) -> None:
    """At the end of this process do not wait for Prefect's threads, which may retry for minutes."""

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(exit_code)

    # What is registered last runs first: before Prefect's own, which come at the same point.
    register = getattr(threading, "_register_atexit")  # noqa: B009 - as Prefect itself does; typeshed lacks it
    register(leave)
