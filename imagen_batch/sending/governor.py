"""Makes attempts wait until they may start.

There is one governor for each model of a process, shared by all threads. Waiting threads queue, and only the first
one watches the clock. The service's replies set the pace for all of them (`pace.py`).
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Callable

from imagen_batch.errors import RateLimited, StopRun, Transient
from imagen_batch.sending.pacing.earlier_pace import EarlierPace
from imagen_batch.sending.pacing.pace import Pace, Permit
from imagen_batch.sending.stop import Stop
from imagen_batch.text import span

_CERTAIN_OUTAGE_S = 30.0  # a few rows that fail for their own reasons end sooner
_MAX_WAIT_S = 0.5  # a stop from a signal handler can't notify: check for it this often


class FailureCause(enum.Enum):
    """The cause of a failed attempt. Only failures of the request itself use up its attempts."""

    REQUEST = enum.auto()
    OUTAGE = enum.auto()


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
            per_minute=per_minute,
            in_flight=in_flight,
            images_per_minute=images_per_minute,
            now=clock(),
        )
        self._outage_limit = outage_limit
        self._stop = stop
        self._clock = clock
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    def acquire(self, *, images: int = 1) -> Permit:
        """Wait until an attempt for this many images may start. Raises Interrupted on a stop."""
        with self._turn, self._changed:
            while True:
                self._stop.check()
                now = self._clock()
                wait = self._pace.wait(now)
                if wait <= 0:
                    return self._pace.start(now, images=images)
                self._changed.wait(min(wait, _MAX_WAIT_S))

    def record_success(self, permit: Permit) -> None:
        """Record that the service answered."""
        with self._changed:
            self._pace.record_success(permit, self._clock())
            self._changed.notify()

    def record_failure(self, permit: Permit, error: Transient) -> FailureCause:
        """Record that an attempt failed with a temporary error, and return the cause.

        Raises StopRun once nothing has succeeded for longer than the outage limit.
        """
        with self._changed:
            now = self._clock()
            if isinstance(error, RateLimited):
                self._pace.record_limit(permit, now, retry_after=error.retry_after, per_minute=error.per_minute)
            else:
                self._pace.record_failure(now)
            self._changed.notify()
            failing_s = self._pace.failing_for(now)
            if self._pace.outage and failing_s > self._outage_limit:
                raise _outage(error, failing_s)
            is_outage = self._pace.outage and failing_s > _CERTAIN_OUTAGE_S
            return FailureCause.OUTAGE if is_outage else FailureCause.REQUEST

    def record_cancellation(self) -> None:
        """Record that an attempt ended without evidence about the service's health."""
        with self._changed:
            self._pace.record_cancellation()
            self._changed.notify()

    def start_from(self, earlier: EarlierPace) -> None:
        """Start from the pace of an earlier run, unless a rate is given."""
        with self._changed:
            self._pace.start_from(earlier)

    @property
    def observed(self) -> EarlierPace | None:
        """The pace that the service allowed, for a later run; None where too few attempts were made."""
        with self._changed:
            return self._pace.observed

    def resize(self, share: float) -> None:
        """Use this part of the account's rate and concurrency from now on; other processes use the rest."""
        with self._changed:
            self._pace.resize(share)
            self._changed.notify()


def _outage(error: Transient, seconds: float) -> StopRun:
    return StopRun(
        f"nothing has succeeded for {span(seconds)}; the last error was: {error}",
        cause="outage",
        exit_code=75,
    )
