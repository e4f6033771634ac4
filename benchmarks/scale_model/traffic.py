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

from benchmarks.scale_model.assumptions import Assumptions
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


def flow(assumed: Assumptions, *, images: int = 50_000, far: bool = False, seed: int = 1) -> Flow:
    """Simulate `images` images with a project's quota; with `far` the store is in another region."""
    traffic = Traffic(assumed, far=far, dice=random.Random(seed))
    before = traffic.run(int(_WARM * images))
    after = traffic.run(images)
    count, seconds = after.made - before.made, after.now - before.now
    return Flow(
        a_second=count / seconds,
        used=count / seconds / (assumed.service.per_minute / 60),
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

    def __init__(self, assumed: Assumptions, part_s: float) -> None:
        self.pace = Pace(per_minute=assumed.service.per_minute, in_flight=assumed.slots)
        self.pace.resize(1 / assumed.workers)
        self.free = assumed.slots  # threads
        self.logs = [PartedLedger(part_s) for _ in range(1 if assumed.workers == 1 else assumed.tool.claims)]
        self.retry_at = math.inf  # the next time to try an attempt


class Traffic:
    """The simulation: attempts go from `_send` to `_on_refusal`, `_on_failure` or `_on_reply`, to `_free_slot`."""

    def __init__(self, assumed: Assumptions, *, far: bool, dice: random.Random) -> None:
        store, service = assumed.store, assumed.service
        self._assumed = assumed
        self._dice = dice
        self._image_s = store.image_s + far * store.far_s
        self._mu = math.log(service.latency_s) - service.latency_sigma**2 / 2
        self._workers = [_Worker(assumed, store.part_s + far * store.far_s) for _ in range(assumed.workers)]
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._number = 0
        self._made = self._attempts = 0
        self._busy_s = 0.0  # of slots, without attempts in flight

    def run(self, until: int) -> Count:
        """Run until `until` images are made."""
        now = 0.0
        if not self._events:
            self._start_all_workers()
        while self._made < until:
            now, _, happen = heapq.heappop(self._events)
            happen(now)
        parts = sum(log.parts for worker in self._workers for log in worker.logs)
        in_flight = sum(self._assumed.slots - worker.free for worker in self._workers)
        return Count(now, self._made, self._attempts, parts, self._busy_s + in_flight * now)

    def _start_all_workers(self) -> None:
        for worker in self._workers:
            self._start_attempts(worker, 0.0)

    def _start_attempts(self, worker: _Worker, now: float) -> None:
        """Start all attempts that may start, and schedule the next try."""
        while worker.free and (wait := worker.pace.wait(now)) < math.inf:
            if wait <= 0:
                self._send(worker, now)
                continue
            if now + wait < worker.retry_at:
                worker.retry_at = now + wait
                self._schedule(worker.retry_at, partial(self._retry_start, worker))
            return

    def _retry_start(self, worker: _Worker, now: float) -> None:
        if now == worker.retry_at:
            worker.retry_at = math.inf
        self._start_attempts(worker, now)

    def _send(self, worker: _Worker, now: float) -> None:
        service, permit = self._assumed.service, worker.pace.start(now)
        log = worker.logs[self._attempts % len(worker.logs)]
        worker.free -= 1
        self._busy_s -= now
        self._attempts += 1
        sent, chance = log.stored(now), self._dice.random()
        replied = sent + self._dice.lognormvariate(self._mu, service.latency_sigma)
        if chance < service.refused:
            self._schedule(sent + service.refused_s, partial(self._on_refusal, worker, permit))
        elif chance < service.refused + service.transient:
            self._schedule(replied, partial(self._on_failure, worker))
        else:
            self._schedule(replied, partial(self._on_reply, worker, permit, log))

    def _on_refusal(self, worker: _Worker, permit: Permit, now: float) -> None:
        worker.pace.record_limit(permit, now, retry_after=self._assumed.service.hold_s, per_minute=None)
        self._free_slot(worker, now)

    def _on_failure(self, worker: _Worker, now: float) -> None:
        worker.pace.record_failure(now)
        self._schedule(now + _AGAIN_S, partial(self._free_slot, worker))
        self._start_attempts(worker, now)

    def _on_reply(self, worker: _Worker, permit: Permit, log: PartedLedger, now: float) -> None:
        worker.pace.record_success(permit, now)
        self._schedule(now + self._image_s, partial(self._store_record, worker, log))
        self._start_attempts(worker, now)

    def _store_record(self, worker: _Worker, log: PartedLedger, now: float) -> None:
        self._made += 1
        self._schedule(log.stored(now), partial(self._free_slot, worker))

    def _free_slot(self, worker: _Worker, now: float) -> None:
        worker.free += 1
        self._busy_s += now
        self._start_attempts(worker, now)

    def _schedule(self, when: float, happen: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, happen))
