"""Computes when the next attempt may start, from what the service has answered so far.

Pure: time comes in as a number and nothing waits here, so a simulated day runs in a second. Threads wait in
`governor.py`.

Without a given rate, none is assumed. The number of attempts in flight grows with each reply. At the first refusal
the pace takes the limit that the service names, or else a rate a little below that of the replies so far. Then it
creeps up again. A burst of refusals counts once: attempts that were in flight when the first one came are no new
evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_WINDOW_START = 4  # attempts in flight before the first reply
_WINDOW_GENTLE = 16  # above this, replies raise it less: everything in flight may be refused at once
_SLOW_REPLY_S = 1.0  # slower replies cause few starts per second anyway
_GROWTH_FIRST, _GROWTH_SLOW, _GROWTH_GENTLE = 3.0, 1.0, 0.5  # attempts in flight per reply
_SLOWER = 0.75
_SLOWEST = 1 / 60  # starts per second: one per minute
_CREEP_EVERY_S = 1.0
_CREEP_SEARCHING = 1.05  # until a second refusal has confirmed the limit
_CREEP_FOUND = 1.0005
_QUIET_S, _QUIET_STARTS = 30.0, 90  # without a refusal until it creeps twice as fast; the longer of the two
_ENOUGH_STARTS = 10  # for measuring a rate
_BELOW = 0.98  # so that small fluctuations cause no refusals
_PAUSE_FIRST_S = 1.0
_PAUSE_LIMIT_S = 60.0
_OUTAGE_AFTER = 10  # failures in a row without a success
_CATCH_UP_SLOTS = 2  # intervals that may be caught up after a late start


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one attempt. `generation` counts the bursts of refusals before it was granted."""

    generation: int
    started: float
    number: int


class Pace:
    """The pacing of one model. All times are seconds on one clock; rates are starts per second."""

    def __init__(
        self,
        *,
        per_minute: float | None,
        in_flight: int,
        images_per_minute: float | None = None,
        now: float = 0.0,
    ) -> None:
        self._image_s = 60 / images_per_minute if images_per_minute else 0.0
        self._given = None if per_minute is None else per_minute / 60
        self._rate = self._given
        self._found = False
        self._share = 1.0
        self._total_in_flight = self._max_in_flight = in_flight
        self._window = float(in_flight if self._given else min(_WINDOW_START, in_flight))
        self._in_flight = 0
        self._next = now
        self._held_until = now
        self._generation = 0
        self._bursts = 0  # bursts of refusals in a row
        self._failures = 0
        self._failing_since: float | None = None
        self._last_change = now
        self._starts = 0
        self._refused_at = now
        self._refused = Permit(-1, now, 0)  # the latest attempt that was refused

    def wait(self, now: float) -> float:
        """Seconds until an attempt may start; infinite while too many are in flight."""
        if self._in_flight >= self._allowed():
            return math.inf
        return max(self._held_until, self._next) - now

    def start(self, now: float, *, images: int = 1) -> Permit:
        """Note that an attempt for this many images starts now."""
        self._in_flight += 1
        interval = max(1 / self._rate if self._rate else 0.0, images * self._image_s)
        if interval:
            self._next = max(self._next, now - _CATCH_UP_SLOTS * interval) + interval
        self._starts += 1
        return Permit(self._generation, now, self._starts)

    def record_success(self, permit: Permit, now: float) -> None:
        """An attempt was answered, with an image or with a refusal of the prompt."""
        self._in_flight -= 1
        if self._failing_since is not None and self.outage:
            self._window = min(_WINDOW_START, self._max_in_flight)  # reopen gently
        self._failures = self._bursts = 0
        self._failing_since = None
        self._window = min(self._window + self._growth(now - permit.started), self._max_in_flight)
        self._creep(now)

    def record_limit(
        self, permit: Permit, now: float, *, retry_after: float | None, per_minute: float | None
    ) -> None:
        """An attempt was refused because the account is over a limit."""
        self._in_flight -= 1
        self._note_failure(now)
        if permit.generation == self._generation:
            self._generation += 1
            self._bursts += 1
            self._slow_down(permit, now, per_minute)
        self._refused_at = now
        self._refused = max(self._refused, permit, key=lambda refused: refused.number)
        self._hold(now + (self._pause() if retry_after is None else retry_after))

    def record_failure(self, now: float) -> None:
        """An attempt failed for another reason that may pass."""
        self._in_flight -= 1
        self._note_failure(now)
        if self.outage:
            self._hold(now + self._pause(self._failures - _OUTAGE_AFTER))

    def record_cancellation(self) -> None:
        """An attempt ended without saying anything about the service."""
        self._in_flight -= 1

    def resize(self, share: float) -> None:
        """Use this part of the account's rate and of its attempts in flight from now on."""
        factor, self._share = share / self._share, share
        self._given = self._given and self._given * factor
        self._rate = self._rate and self._rate * factor
        self._image_s /= factor
        self._max_in_flight = max(1, int(self._total_in_flight * share + 1e-9))
        self._window = min(max(1.0, self._window * factor), self._max_in_flight)

    @property
    def outage(self) -> bool:
        """True after many failures in a row. Then one attempt at a time probes the service."""
        return self._failures >= _OUTAGE_AFTER

    def failing_for(self, now: float) -> float:
        """Seconds for which there have been nothing but failures; 0 after a success."""
        return 0.0 if self._failing_since is None else now - self._failing_since

    @property
    def per_minute(self) -> float | None:
        """The current rate; None while none is known."""
        return None if self._rate is None else self._rate * 60

    def _allowed(self) -> int:
        return 1 if self.outage else int(self._window)

    def _note_failure(self, now: float) -> None:
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = now

    def _slow_down(self, permit: Permit, now: float, per_minute: float | None) -> None:
        # The quota was used up at the last refusal and is used up now, so what was admitted in between is the rate.
        # Before the first refusal the measured rate is too high: it includes a burst that the quota had saved up.
        named = None if not per_minute else per_minute / 60 * self._share
        admitted = permit.number - self._refused.number - 1
        measured = admitted / max(permit.started - self._refused.started, 0.1)
        if named is not None and (self._rate is None or named < self._rate):
            slower, self._found = named, True
        elif self._rate is not None and admitted >= _ENOUGH_STARTS:
            slower, self._found = min(self._rate, measured) * _BELOW, True
        elif self._rate is None and admitted < 1:  # no rate can be measured: halve the window
            self._window = max(1.0, self._window / 2)
            return
        else:
            slower, self._found = (self._rate or measured) * _SLOWER, False
        self._rate = max(slower, _SLOWEST)
        self._last_change = now

    def _growth(self, latency: float) -> float:
        if self._window < _WINDOW_GENTLE:
            return _GROWTH_FIRST
        return _GROWTH_GENTLE if latency < _SLOW_REPLY_S else _GROWTH_SLOW

    def _creep(self, now: float) -> None:
        if self._rate is None or now - self._last_change < _CREEP_EVERY_S:
            return
        faster = self._faster(now) if self._found else _CREEP_SEARCHING
        self._rate = min(self._rate * faster, self._given or math.inf)
        self._last_change = now

    def _faster(self, now: float) -> float:
        """The factor to creep by: small near the limit, larger the longer nothing was refused."""
        assert self._rate is not None
        quiet = (now - self._refused_at) / max(_QUIET_S, _QUIET_STARTS / self._rate)
        return min(1 + (_CREEP_FOUND - 1) * (1 + quiet**2), _CREEP_SEARCHING)

    def _pause(self, doublings: int | None = None) -> float:
        doublings = self._bursts - 1 if doublings is None else doublings
        return float(min(_PAUSE_FIRST_S * 2 ** max(0, min(doublings, 10)), _PAUSE_LIMIT_S))

    def _hold(self, until: float) -> None:
        self._held_until = max(self._held_until, until)
        self._next = max(self._next, self._held_until)
