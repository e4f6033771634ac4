"""Has the run been told to stop, and why?

One object for all threads: what waits, waits on it, so that nothing outlives a Ctrl-C.
"""

from __future__ import annotations

import threading

from imagen_batch.errors import Fatal, Interrupted


class Stop:
    """A flag with a reason. The first reason stays; later ones change nothing.

    A signal handler may call it at any point, also while the thread that it interrupts is inside one of these
    methods: the lock is reentrant, and the reason is set in one step.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._reason: dict[str, Fatal | int] = {}  # setdefault is one step, which no signal handler can divide

    @property
    def fatal(self) -> Fatal | None:
        """The error that ended the run; None where a signal did."""
        reason = self._reason.get("first")
        return reason if isinstance(reason, Fatal) else None

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended the run; None where an error did."""
        reason = self._reason.get("first")
        return reason if isinstance(reason, int) else None

    @property
    def is_set(self) -> bool:
        """True once the run is stopping."""
        return bool(self._reason)

    def fail(self, error: Fatal) -> None:
        """No attempt can succeed any more."""
        self._end(error)

    def interrupt(self, number: int) -> None:
        """Somebody asked for an end."""
        self._end(number)

    def check(self) -> None:
        """Raise Interrupted once the run is stopping."""
        if self.is_set:
            raise Interrupted

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond a stop. Raises Interrupted when one comes first."""
        with self._changed:
            if self._changed.wait_for(lambda: self.is_set, min(max(0.0, seconds), threading.TIMEOUT_MAX)):
                raise Interrupted

    def _end(self, reason: Fatal | int) -> None:
        self._reason.setdefault("first", reason)
        with self._changed:
            self._changed.notify_all()
