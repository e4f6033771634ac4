"""Signals all threads of a run that it is stopping, and why.

Every wait of a run uses this object, so that Ctrl-C ends all of them.
"""

from __future__ import annotations

import threading

from imagen_batch.errors import Interrupted, StopRun


class Stop:
    """A flag with a reason. The first reason stays; later ones change nothing.

    A signal handler may call any method at any point, also while the thread that it interrupts is inside one of
    them: the lock is reentrant, and the reason is set in one step.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._reason: dict[str, StopRun | int] = {}  # setdefault is atomic, also with regard to signal handlers

    @property
    def fatal(self) -> StopRun | None:
        """The error that ended the run; None where a signal did."""
        reason = self._reason.get("first")
        return reason if isinstance(reason, StopRun) else None

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended the run; None where an error did."""
        reason = self._reason.get("first")
        return reason if isinstance(reason, int) else None

    @property
    def is_set(self) -> bool:
        """True once the run is stopping."""
        return bool(self._reason)

    def fail(self, error: StopRun) -> None:
        """Stop the run because no attempt can succeed any more."""
        self._end(error)

    def interrupt(self, number: int) -> None:
        """Stop the run because of the signal with this number."""
        self._end(number)

    def check(self) -> None:
        """Raise Interrupted once the run is stopping."""
        if self.is_set:
            raise Interrupted

    def sleep(self, seconds: float) -> None:
        """Wait. Raises Interrupted as soon as the run is stopping."""
        with self._changed:
            if self._changed.wait_for(lambda: self.is_set, min(max(0.0, seconds), threading.TIMEOUT_MAX)):
                raise Interrupted

    def _end(self, reason: StopRun | int) -> None:
        self._reason.setdefault("first", reason)
        with self._changed:
            self._changed.notify_all()
