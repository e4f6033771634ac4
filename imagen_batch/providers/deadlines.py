"""Ends every attempt in time, also one whose single bytes all come in time.

A socket's timeout bounds one read, so a reply that trickles never meets it. Here one thread watches all
attempts and shuts the connection of one that is due; whoever reads from it gets an error at once.

When the whole process was suspended (Ctrl-Z, a closed laptop), replies may have come whole meanwhile. The watcher
notices that it slept itself, and gives what is overdue then a little time to be read.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_LOOK_EVERY_S = 0.1
_OVERSLEPT_S = 0.5  # later than this is no scheduler's whim
_MOST_EXTRA_S = 10.0  # for what waits in buffers; a service that trickles gets no more than this either

_current = threading.local()


def current_attempt() -> WatchedCall | None:
    """The attempt that this thread is making."""
    return getattr(_current, "attempt", None)


class WatchedCall:
    """An attempt under watch.

    `due` turns True when its time was up, `sent` when the whole request has left.
    """

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.due = False
        self.sent = False
        self.aborted = False
        self.connection: Any = None
        self.socket: Any = None

    def cut(self) -> None:
        """Shut the connection, if there is one yet."""
        self.due = True
        sock = self.socket or getattr(self.connection, "sock", None)
        if sock is not None:
            sock = sock if hasattr(sock, "shutdown") else sock.socket  # TLS within TLS has none
            with suppress(OSError, ValueError):
                sock.shutdown(socket.SHUT_RDWR)


class Deadlines:
    """Watches attempts from a thread of its own, which sleeps while there are none."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: set[WatchedCall] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
        self._thread.start()

    @contextmanager
    def within(self, seconds: float) -> Iterator[WatchedCall]:
        """Whatever connection this thread uses inside is cut when `seconds` are over."""
        attempt = WatchedCall(self._clock() + seconds)
        _current.attempt = attempt
        with self._changed:
            self._attempts.add(attempt)
            if len(self._attempts) == 1:
                self._changed.notify()
        try:
            yield attempt
        finally:
            _current.attempt = None
            with self._changed:
                self._attempts.discard(attempt)

    def abort_all(self) -> None:
        """End every attempt now."""
        with self._changed:
            for attempt in self._attempts:
                attempt.aborted = True
                attempt.cut()

    def close(self) -> None:
        """Stop watching."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        expected = self._clock()
        with self._changed:
            while not self._closed:
                now = self._clock()
                self._cut_overdue(now, slept=now - expected)
                pause = _LOOK_EVERY_S if self._attempts else None
                expected = self._clock() + _LOOK_EVERY_S
                self._changed.wait(pause)
                if pause is None:
                    expected = self._clock()

    def _cut_overdue(self, now: float, *, slept: float) -> None:
        extra = min(slept, _MOST_EXTRA_S) if slept > _OVERSLEPT_S else 0.0
        for attempt in self._attempts:
            if extra and attempt.ends < now + extra:
                attempt.ends = now + extra
            if attempt.ends <= now:
                attempt.cut()
