"""Simulates a job that is split into runs over many projects, with failing machines.

Every run of a job is an event: a project takes the next run when its last one has ended. A run reads and plans,
sends at the rate that its project's quota and `flow` allow, and writes its tables. Machines fail at random: when
the planning machine fails, the run is resumed from its ledger.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.scale_model.assumptions import DAY_S, Assumptions
from benchmarks.scale_model.traffic import Flow

_START_S = 10.0  # Prefect's server, the store, the first connections


@dataclass(frozen=True)
class Job:
    """The result of a job. `used` is the used part of all projects' quota until the last run ended."""

    days: float
    used: float
    deaths: int  # of machines
    idle_s: float  # of a project's quota, until runs were resumed
    twice: int  # images that may have been paid for twice


def fleet(assumed: Assumptions, runs: Sequence[int], flowing: Flow, *, seed: int = 1) -> Job:
    """Simulate all runs; `runs` has the number of rows of each."""
    dice, service = random.Random(seed), assumed.service
    slowest, fastest = (service.per_minute / 60 * (1 + side * service.spread) for side in (-1, 1))
    quotas = [dice.uniform(slowest, fastest) for _ in range(assumed.projects)]
    free = [(0.0, project) for project in range(assumed.projects)]
    lives = []
    for rows in runs:
        now, project = free[0]
        life = _life(assumed, rows, quotas[project] * flowing.used, dice)
        heapq.heapreplace(free, (now + life.seconds, project))
        lives.append(life)
    lost = sum(runs) * service.transient * service.lost
    return Job(
        days=max(free)[0] / DAY_S,
        used=sum(runs) / (sum(quotas) * max(free)[0]),
        deaths=sum(life.deaths for life in lives),
        idle_s=sum(life.idle_s for life in lives),
        twice=round(lost) + sum(life.twice for life in lives),
    )


def resume_s(assumed: Assumptions, rows: int) -> float:
    """Return the seconds from a failure to the next request, which include reading the ledger again."""
    tool, machines = assumed.tool, assumed.machines
    fetched = rows * tool.ledger_bytes / machines.fetch_bytes_s
    return machines.replaced_s + tool.takeover_s + _START_S + fetched + rows * tool.row_s


class _Life(NamedTuple):
    """The simulated course of one run."""

    seconds: float
    deaths: int
    idle_s: float
    twice: int


def _life(assumed: Assumptions, rows: int, a_second: float, dice: random.Random) -> _Life:
    sending = rows / a_second
    ends = list(_ends(assumed, sending, dice))
    idle = sum(resume_s(assumed, int(rows * end / sending)) for end in ends)
    other_machines = assumed.workers if assumed.workers > 1 else 0  # machines whose work others take over
    others = sum(1 for _ in range(other_machines) for _ in _ends(assumed, sending, dice))
    twice = assumed.slots * len(ends) + assumed.slots * others // assumed.workers
    return _Life(_START_S + rows * assumed.tool.row_s + sending + idle, len(ends) + others, idle, twice)


def _ends(assumed: Assumptions, seconds: float, dice: random.Random) -> Sequence[float]:
    """Return the times at which a machine and its successors fail."""
    rate = assumed.machines.deaths_a_day / DAY_S
    ends: list[float] = []
    while rate and (end := (ends[-1] if ends else 0.0) + dice.expovariate(rate)) < seconds:
        ends.append(end)
    return ends
