"""Computes when the next attempt may start, from what the service has answered so far.

Pure: time comes in as a number and nothing waits here, so a simulated day runs in a second. Threads wait in
`governor.py`.

Without a given rate, none is assumed. A few attempts wait for the first reply; then all slots fill within the time
that it took (`ramp_up_after_first_reply.py`). At the first refusal the pace takes the limit that the service names,
or else a rate a little below that of the replies so far. Then it creeps up again. A burst of refusals counts once:
attempts that were in flight when the first one came are no new evidence.

A single refusal may be due to a quota that others share, and is weak evidence about the rate. So after a refusal that
contradicts a rate which held before, the pace returns to that rate quickly, and gives up half of the difference with
each further refusal on the way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from imagen_batch.sending.pacing.earlier_pace import EarlierPace
from imagen_batch.sending.pacing.ramp_up_after_first_reply import Opening

_WINDOW_START = 4  # attempts in flight before the first reply
_WINDOW_GENTLE = 16  # above this, replies raise it less: everything in flight may be refused at once
_SLOW_REPLY_S = 1.0  # slower replies cause few starts per second anyway
_GROWTH_FIRST, _GROWTH_SLOW, _GROWTH_GENTLE = 3.0, 1.0, 0.5  # attempts in flight per reply
_SLOWDOWN, _SLOWDOWN_FIRST = 0.75, 0.5
_MIN_FACTOR = 0.25
_BEFORE_OPENING_S = 0.25
_MIN_RATE = 1 / 60  # starts per second: one per minute
_CREEP_EVERY_S, _CREEP_EVERY_STARTS = 1.0, 4  # the longer of the two
_CREEP_SEARCHING = 1.05  # until a second refusal has confirmed the limit
_CREEP_FOUND = 1.0005
_CREEP_RETURNING = 1.05  # to a rate that held before a refusal
_QUIET_S, _QUIET_STARTS = 30.0, 90  # without a refusal until it creeps twice as fast; the longer of the two
_MIN_STARTS = 10  # for measuring a rate
_MIN_STARTS_TO_STORE = 100  # starts without a refusal
_MARGIN = 0.98  # so that small fluctuations cause no refusals
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
        self._goal = 0.0  # a rate that held before the last refusal; 0 where there is none
        self._share = 1.0
        self._total_in_flight = self._max_in_flight = in_flight
        self._window = float(in_flight if self._given else min(_WINDOW_START, in_flight))
        self._opening: Opening | None = None
        self._was_opened, self._opened_at = self._given is not None, now
        self._in_flight = self._max_seen_in_flight = 0
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

    def start_from(self, earlier: EarlierPace) -> None:
        """Start from the pace of an earlier run, unless a rate is given."""
        if self._given is not None:
            return
        self._was_opened = True
        if earlier.per_minute is None:
            self._window = float(min(earlier.in_flight, self._max_in_flight))
        else:
            self._rate, self._window = max(earlier.per_minute / 60, _MIN_RATE), float(self._max_in_flight)

    def wait(self, now: float) -> float:
        """Return the seconds until an attempt may start; infinite while too many are in flight."""
        if self._in_flight >= self._allowed():
            return math.inf
        return max(self._held_until, self._next) - now

    def start(self, now: float, *, images: int = 1) -> Permit:
        """Record that an attempt for this many images starts now."""
        self._in_flight += 1
        self._max_seen_in_flight = max(self._max_seen_in_flight, self._in_flight)
        interval = max(self._interval(now), images * self._image_s)
        if interval:
            self._next = max(self._next, now - _CATCH_UP_SLOTS * interval) + interval
        self._starts += 1
        return Permit(self._generation, now, self._starts)

    def record_success(self, permit: Permit, now: float) -> None:
        """Record that an attempt was answered, with an image or with a refusal of the prompt."""
        self._in_flight -= 1
        if self._failing_since is not None and self.outage:
            self._window = min(_WINDOW_START, self._max_in_flight)  # reopen gently
        self._failures = self._bursts = 0
        self._failing_since = None
        self._widen(now - permit.started, now)
        self._creep(now)

    def record_limit(
        self, permit: Permit, now: float, *, retry_after: float | None, per_minute: float | None
    ) -> None:
        """Record that an attempt was refused because the account is over a limit."""
        self._in_flight -= 1
        self._count_failure(now)
        if permit.generation == self._generation:
            self._generation += 1
            self._bursts += 1
            self._slow_down(permit, now, per_minute)
        self._refused_at = now
        self._refused = max(self._refused, permit, key=lambda refused: refused.number)
        self._hold(now + (self._pause() if retry_after is None else retry_after))

    def record_failure(self, now: float) -> None:
        """Record that an attempt failed with another temporary error."""
        self._in_flight -= 1
        self._count_failure(now)
        if self.outage:
            self._hold(now + self._pause(self._failures - _OUTAGE_AFTER))

    def record_cancellation(self) -> None:
        """Record that an attempt ended without evidence about the service."""
        self._in_flight -= 1

    def resize(self, share: float) -> None:
        """Use this part of the account's rate and of its attempts in flight from now on."""
        factor, self._share = share / self._share, share
        self._given = self._given and self._given * factor
        self._rate = self._rate and self._rate * factor
        self._goal *= factor
        self._image_s /= factor
        self._max_in_flight = max(1, int(self._total_in_flight * share + 1e-9))
        self._window = min(max(1.0, self._window * factor), self._max_in_flight)

    @property
    def outage(self) -> bool:
        """True after many failures in a row. Then one attempt at a time probes the service."""
        return self._failures >= _OUTAGE_AFTER

    def failing_for(self, now: float) -> float:
        """Return the seconds for which there have been nothing but failures; 0 after a success."""
        return 0.0 if self._failing_since is None else now - self._failing_since

    @property
    def per_minute(self) -> float | None:
        """The current rate; None while none is known."""
        return None if self._rate is None else self._rate * 60

    @property
    def observed(self) -> EarlierPace | None:
        """The pace that the service allowed, for a later run; None where too few attempts were made."""
        if self._given is not None or self._share != 1.0:
            return None
        if self._rate is not None:
            return EarlierPace(self._rate * 60, self._max_seen_in_flight, 0.0)
        if self._refused.number or self._starts < _MIN_STARTS_TO_STORE or self._failures:
            return None
        return EarlierPace(None, self._max_seen_in_flight, 0.0)

    def _allowed(self) -> int:
        return 1 if self.outage else int(self._window)

    def _count_failure(self, now: float) -> None:
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = now

    def _slow_down(self, permit: Permit, now: float, per_minute: float | None) -> None:
        # The quota was used up at the last refusal and is used up now, so what was admitted in between is the rate.
        # Before the first refusal the measured rate is too high: it includes a burst that the quota had saved up.
        named = None if not per_minute else per_minute / 60 * self._share
        admitted = permit.number - self._refused.number - 1
        since = self._refused.started
        if self._rate is None:  # the wait for the first reply, in which hardly anything was sent, does not count
            since = max(since, self._opened_at - _BEFORE_OPENING_S)
        measured = admitted / max(permit.started - since, 0.1)
        earlier_rate, was_found = self._rate, self._found
        if named is not None and (self._rate is None or named < self._rate):
            slower, self._found = named, True
        elif self._rate is not None and admitted >= _MIN_STARTS:
            slower, self._found = min(self._rate, measured) * _MARGIN, True
        elif self._rate is None and admitted < 1:  # no rate can be measured: halve the window
            self._window = max(1.0, self._window / 2)
            return
        elif self._rate is None:
            slower, self._found = measured * _SLOWDOWN_FIRST, False
        else:
            slower, self._found = (
                self._rate * max(min(_SLOWDOWN, self._limit_bound(admitted, permit)), _MIN_FACTOR),
                False,
            )
        self._goal = self._rate_to_return_to(earlier_rate if was_found else None, slower) if named is None else 0.0
        self._rate = max(slower, _MIN_RATE)
        self._last_change = now

    def _limit_bound(self, admitted: int, permit: Permit) -> float:
        """Return the upper bound of the limit, relative to the rate: what a bucket admitted that was empty twice."""
        if self._rate is None or not self._refused.number:
            return 1.0
        return (admitted + 1) / max(permit.started - self._refused.started, 0.1) / self._rate

    def _rate_to_return_to(self, earlier_rate: float | None, slower: float) -> float:
        """Return the rate that held until this refusal; while returning to it, the middle of the remaining way."""
        if self._goal > slower:
            return (self._goal + slower) / 2
        return (earlier_rate or 0.0) * _MARGIN

    def _interval(self, now: float) -> float:
        """Return the seconds between two starts."""
        if self._rate is not None:
            return 1 / self._rate
        if self._opening is None:
            return 0.0
        if self._in_flight >= self._max_in_flight:  # all slots are filled; from now on each reply starts one attempt
            self._opening = None
            return 0.0
        return self._opening.interval(now)

    def _widen(self, latency: float, now: float) -> None:
        """Allow more attempts in flight after a reply: all of them after the first one, in the opening's rate."""
        if self._was_opened:
            self._window = min(self._window + self._growth(latency), self._max_in_flight)
            return
        self._was_opened, self._opened_at = True, now
        self._window = float(self._max_in_flight)
        self._opening = Opening(now, latency, self._max_in_flight)
        self._next = max(self._next, now)

    def _growth(self, latency: float) -> float:
        if self._window < _WINDOW_GENTLE:
            return _GROWTH_FIRST
        return _GROWTH_GENTLE if latency < _SLOW_REPLY_S else _GROWTH_SLOW

    def _creep(self, now: float) -> None:
        if self._rate is None or now - self._last_change < max(_CREEP_EVERY_S, _CREEP_EVERY_STARTS / self._rate):
            return
        faster = self._creep_factor(now) if self._found else _CREEP_SEARCHING
        if self._rate < self._goal:
            self._rate = min(self._rate * _CREEP_RETURNING, self._goal)
        self._rate = min(self._rate * faster, self._given or math.inf)
        self._last_change = now

    def _creep_factor(self, now: float) -> float:
        """Return the factor to creep by: small near the limit, larger the longer nothing was refused."""
        assert self._rate is not None
        quiet = (now - self._refused_at) / max(_QUIET_S, _QUIET_STARTS / self._rate)
        return min(1 + (_CREEP_FOUND - 1) * (1 + quiet**2), _CREEP_SEARCHING)

    def _pause(self, doublings: int | None = None) -> float:
        doublings = self._bursts - 1 if doublings is None else doublings
        return float(min(_PAUSE_FIRST_S * 2 ** max(0, min(doublings, 10)), _PAUSE_LIMIT_S))

    def _hold(self, until: float) -> None:
        self._held_until = max(self._held_until, until)
        self._next = max(self._next, self._held_until)
