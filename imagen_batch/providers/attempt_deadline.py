"""Ends every attempt at its deadline, even if its reply arrives slowly.

A socket's timeout limits a single read, so a reply that comes in small pieces never exceeds it. One thread watches
all attempts and shuts the connection of an overdue one; the thread that reads from it gets an error at once.

While the whole process was suspended (Ctrl-Z, a closed laptop), complete replies may have arrived. The watcher
notices that it overslept, and gives overdue attempts a little more time to read them.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_CHECK_EVERY_S = 0.1
_OVERSLEPT_S = 0.5  # more than a scheduler delays a thread
_MAX_EXTRA_S = 10.0  # to read what waits in buffers; a slow reply gets no more than this either

_current = threading.local()


def current_attempt() -> WatchedCall | None:
    """Return the attempt that this thread is making; None if it makes none."""
    return getattr(_current, "attempt", None)


class WatchedCall:
    """A watched attempt.

    `connected` becomes True when sending begins, `sent` when the whole request has left, `overdue` when its time is
    over, `aborted` when the run aborts it.
    """

    def __init__(self, ends: float) -> None:
        self.ends = ends
        self.overdue = False
        self.connected = False
        self.sent = False
        self.aborted = False
        self.connection: Any = None
        self.socket: Any = None

    def abort(self) -> None:
        """Shut the connection, if there is one yet.

        The `shutdown` of a TLS socket is not used: it first makes the socket a plain one, on which the thread that is
        sending would continue unencrypted.
        """
        self.overdue = True
        sock = self.socket or getattr(self.connection, "sock", None)
        if sock is not None:
            sock = sock if hasattr(sock, "shutdown") else sock.socket  # TLS within TLS has none
            with suppress(OSError, ValueError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Deadlines:
    """Watches attempts from its own thread, which sleeps while there are none."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: set[WatchedCall] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
        self._thread.start()

    @contextmanager
    def within(self, seconds: float) -> Iterator[WatchedCall]:
        """Limit the block to `seconds`: then the connection of this thread is shut."""
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

    @property
    def awaits_reply(self) -> bool:
        """Whether any attempt has sent its whole request."""
        with self._changed:
            return any(attempt.sent for attempt in self._attempts)

    def abort_all(self) -> None:
        """Abort every attempt now."""
        with self._changed:
            for attempt in self._attempts:
                attempt.aborted = True
                attempt.abort()

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
                self._abort_overdue(now, slept=now - expected)
                pause = _CHECK_EVERY_S if self._attempts else None
                expected = self._clock() + _CHECK_EVERY_S
                self._changed.wait(pause)
                if pause is None:
                    expected = self._clock()

    def _abort_overdue(self, now: float, *, slept: float) -> None:
        extra = min(slept, _MAX_EXTRA_S) if slept > _OVERSLEPT_S else 0.0
        for attempt in self._attempts:
            if extra and attempt.ends < now + extra:
                attempt.ends = now + extra
            if attempt.ends <= now:
                attempt.abort()
