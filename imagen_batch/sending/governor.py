"""The door that every attempt passes: may it start now?

One for each (provider, model) of a process, shared by all threads. Threads queue at the door and only the
first of them watches the clock. What the service says moves the pace for everyone (`pace.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from imagen_batch.errors import Fatal, RateLimited, Transient
from imagen_batch.sending.pace import Pace, Permit
from imagen_batch.sending.stop import Stop
from imagen_batch.text import span

_SURELY_AN_OUTAGE_S = 30.0  # a few rows that fail of themselves are over sooner
_LONGEST_NAP_S = 0.5  # a stop from a signal handler can't notify: look for it this often


class Governor:
    """Blocks attempts until they may start. `outage_limit` seconds of nothing but failures end the run."""

    def __init__(
        self,
        *,
        per_minute: float | None,
        in_flight: int,
        images_per_minute: float | None = None,
        outage_limit: float,
        stop: Stop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pace = Pace(
            per_minute=per_minute, in_flight=in_flight, images_per_minute=images_per_minute, now=clock()
        )
        self._outage_limit = outage_limit
        self._stop = stop
        self._clock = clock
        self._door = threading.Lock()
        self._changed = threading.Condition()

    def acquire(self, *, images: int = 1) -> Permit:
        """Wait for leave to start an attempt for so many images. Raises Interrupted on a stop."""
        with self._door, self._changed:
            while True:
                self._stop.check()
                now = self._clock()
                wait = self._pace.wait(now)
                if wait <= 0:
                    return self._pace.start(now, images=images)
                self._changed.wait(min(wait, _LONGEST_NAP_S))

    def succeeded(self, permit: Permit) -> None:
        """The service answered."""
        with self._changed:
            self._pace.succeeded(permit, self._clock())
            self._changed.notify()

    def failed(self, permit: Permit, error: Transient) -> bool:
        """The attempt failed in a way that may pass. True when it should not count against its request.

        Raises Fatal once nothing has succeeded for the outage limit.
        """
        with self._changed:
            now = self._clock()
            if isinstance(error, RateLimited):
                self._pace.limited(permit, now, retry_after=error.retry_after, per_minute=error.per_minute)
            else:
                self._pace.failed(now)
            self._changed.notify()
            if self._pace.outage and self._pace.failing_for(now) > self._outage_limit:
                raise _outage(error, self._pace.failing_for(now))
            return self._pace.outage and self._pace.failing_for(now) > _SURELY_AN_OUTAGE_S

    def resize(self, share: float) -> None:
        """Others use the account, too: let in such a part of what may be let in."""
        with self._changed:
            self._pace.resize(share)
            self._changed.notify()

    def cancelled(self) -> None:
        """The attempt ended without telling anything about the service's health."""
        with self._changed:
            self._pace.cancelled()
            self._changed.notify()


def _outage(error: Transient, seconds: float) -> Fatal:
    return Fatal(
        f"nothing has succeeded for {span(seconds)}; the last error was: {error}",
        kind="outage",
        outcome="outage",
        exit_code=75,
        http_status=error.http_status,
    )
