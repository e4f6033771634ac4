"""Has the run been told to stop, and why?

One object for all threads: what waits, waits on it, so that nothing outlives a Ctrl-C.
"""

from __future__ import annotations

import threading

from imagen_batch.errors import Fatal, Interrupted


class Stop:
    """A flag with a reason. The first reason stays; later ones change nothing."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.fatal: Fatal | None = None
        self.signal: int | None = None

    def for_error(self, error: Fatal) -> None:
        """No attempt can succeed any more."""
        with self._lock:
            if not self._event.is_set():
                self.fatal = error
            self._event.set()

    def for_signal(self, number: int) -> None:
        """Somebody asked for an end. For a signal handler: the main thread never holds the event's lock."""
        if not self._event.is_set():
            self.signal = number
        self._event.set()

    @property
    def is_set(self) -> bool:
        """True once the run is stopping."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Interrupted once the run is stopping."""
        if self._event.is_set():
            raise Interrupted

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond a stop. Raises Interrupted when one comes first."""
        if self._event.wait(min(max(0.0, seconds), threading.TIMEOUT_MAX)):
            raise Interrupted
