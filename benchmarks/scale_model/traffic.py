"""Simulates the requests of one run: used quota, busy slots and ledger parts for each image.

Every request of an hour or more of one run is an event: the pace is the tool's own
(`imagen_batch/sending/pace.py`), and the service's reactions are random. The start and end of a run are not
included, nor are the ends of shards: two shards in progress share their slots.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from benchmarks.scale_model.assumptions import Given
from imagen_batch.sending.pacing.pace import Pace, Permit

_WARM = 0.2  # share of the images, before counting starts
_AGAIN_S = 1.0  # the pause after a transient failure


@dataclass(frozen=True)
class Flow:
    """Images a second, the used part of the quota, attempts and parts for one image, busy slots on average."""

    a_second: float
    used: float
    attempts: float
    parts: float
    slots: float


def flow(given: Given, *, pictures: int = 50_000, far: bool = False, seed: int = 1) -> Flow:
    """Simulate `pictures` images with a project's quota; `far`: the store is in another region."""
    traffic = Traffic(given, far=far, dice=random.Random(seed))
    before = traffic.run(int(_WARM * pictures))
    after = traffic.run(pictures)
    count, seconds = after.made - before.made, after.now - before.now
    return Flow(
        a_second=count / seconds,
        used=count / seconds / (given.service.per_minute / 60),
        attempts=(after.attempts - before.attempts) / count,
        parts=(after.parts - before.parts) / count,
        slots=(after.busy_s - before.busy_s) / seconds,
    )


class Count(NamedTuple):
    """Totals until `now`, in seconds."""

    now: float
    made: int
    attempts: int
    parts: int
    busy_s: float


class PartedLedger:
    """A ledger in parts: records that arrive while a part is being stored go into the next one."""

    def __init__(self, store_s: float) -> None:
        self.parts = 0
        self._store_s = store_s
        self._ends = 0.0  # of the part being stored
        self._next_ends = 0.0  # of the part after it, if there is one

    def stored(self, now: float) -> float:
        """Return when a record that arrives now is stored. Calls must be in order of time."""
        if now >= self._ends < self._next_ends:
            self._ends = self._next_ends
        if now >= self._ends:
            self.parts += 1
            self._ends = self._next_ends = now + self._store_s
        elif self._next_ends <= self._ends:
            self.parts += 1
            self._next_ends = self._ends + self._store_s
        return self._next_ends


class _Worker:
    """One process: its part of the rate and of the requests in flight, and a ledger for each of its shards."""

    def __init__(self, given: Given, part_s: float) -> None:
        self.pace = Pace(per_minute=given.service.per_minute, in_flight=given.slots)
        self.pace.resize(1 / given.workers)
        self.free = given.slots  # threads
        self.logs = [PartedLedger(part_s) for _ in range(1 if given.workers == 1 else given.tool.claims)]
        self.looks_at = math.inf  # the next time to try an attempt


class Traffic:
    """The simulation. Attempts go from `_send` to `_refused`, `_failed` or `_answered`, then to `_freed`."""

    def __init__(self, given: Given, *, far: bool, dice: random.Random) -> None:
        store, service = given.store, given.service
        self._given = given
        self._dice = dice
        self._picture_s = store.picture_s + far * store.far_s
        self._mu = math.log(service.latency_s) - service.latency_sigma**2 / 2
        self._workers = [_Worker(given, store.part_s + far * store.far_s) for _ in range(given.workers)]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        self._made = self._attempts = 0
        self._busy_s = 0.0  # of slots, without attempts in flight

    def run(self, until: int) -> Count:
        """Run until `until` images are made."""
        now = 0.0
        if not self._events:
            self._let_all_in()
        while self._made < until:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        parts = sum(log.parts for worker in self._workers for log in worker.logs)
        in_flight = sum(self._given.slots - worker.free for worker in self._workers)
        return Count(now, self._made, self._attempts, parts, self._busy_s + in_flight * now)

    def _let_all_in(self) -> None:
        for worker in self._workers:
            self._let_in(worker, 0.0)

    def _let_in(self, worker: _Worker, now: float) -> None:
        """Start all attempts that may start, and schedule the next try."""
        while worker.free and (wait := worker.pace.wait(now)) < math.inf:
            if wait <= 0:
                self._send(worker, now)
                continue
            if now + wait < worker.looks_at:
                worker.looks_at = now + wait
                self._at(worker.looks_at, partial(self._look, worker))
            return

    def _look(self, worker: _Worker, now: float) -> None:
        if now == worker.looks_at:
            worker.looks_at = math.inf
        self._let_in(worker, now)

    def _send(self, worker: _Worker, now: float) -> None:
        service, permit = self._given.service, worker.pace.start(now)
        log = worker.logs[self._attempts % len(worker.logs)]
        worker.free -= 1
        self._busy_s -= now
        self._attempts += 1
        sent, lot = log.stored(now), self._dice.random()
        replied = sent + self._dice.lognormvariate(self._mu, service.latency_sigma)
        if lot < service.refused:
            self._at(sent + service.refused_s, partial(self._refused, worker, permit))
        elif lot < service.refused + service.transient:
            self._at(replied, partial(self._failed, worker))
        else:
            self._at(replied, partial(self._answered, worker, permit, log))

    def _refused(self, worker: _Worker, permit: Permit, now: float) -> None:
        worker.pace.record_limit(permit, now, retry_after=self._given.service.hold_s, per_minute=None)
        self._freed(worker, now)

    def _failed(self, worker: _Worker, now: float) -> None:
        worker.pace.record_failure(now)
        self._at(now + _AGAIN_S, partial(self._freed, worker))
        self._let_in(worker, now)

    def _answered(self, worker: _Worker, permit: Permit, log: PartedLedger, now: float) -> None:
        worker.pace.record_success(permit, now)
        self._at(now + self._picture_s, partial(self._kept, worker, log))
        self._let_in(worker, now)

    def _kept(self, worker: _Worker, log: PartedLedger, now: float) -> None:
        self._made += 1
        self._at(log.stored(now), partial(self._freed, worker))

    def _freed(self, worker: _Worker, now: float) -> None:
        worker.free += 1
        self._busy_s += now
        self._let_in(worker, now)

    def _at(self, when: float, happen: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, happen))
