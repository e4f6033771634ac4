"""Which shard may go to a worker next, and what follows from what came back?

A run whose shards are made in other processes. Nothing here knows how they get there: whoever does takes tickets
from `ready` and brings back a report, or word that the worker was lost.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from imagen_batch.errors import Fatal, storage_failure
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.reader import ledger_files, moment_after
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.requests import single_sample
from imagen_batch.records import ImageRequest, Limit
from imagen_batch.runs.heartbeat import EVERY_S, HeartbeatWriter
from imagen_batch.runs.run import Run
from imagen_batch.runs.staged_images import recover_staged
from imagen_batch.storage import LEDGER
from imagen_batch.workers.allocation import Allocator, Limits, Spent
from imagen_batch.workers.messages import JobSpec, ShardReport, ShardTask
from imagen_batch.workers.worker import NOTICED_AFTER_S, settled, shard_folder

_LOOK_EVERY_S = 0.5


@contextmanager
def coordinating(
    run: Run, *, slots: Callable[[], int], sleep: Callable[[float], None] = time.sleep
) -> Iterator[Coordinator]:
    """Send a run's shards out while the block lasts. `slots` is how many the workers there are can make at once."""
    settings, provider = run.plan.settings, run.context.provider
    job = JobSpec(uuid.uuid4().hex, settings, provider.base_url, run.plan.models())
    control = HeartbeatWriter(
        run.context.store.storage, job.id, lost=lambda error: run.stop.fail(storage_failure(error))
    )
    with control.speaking():
        yield Coordinator(run, control, job, slots=slots, sleep=sleep)


class Coordinator:
    """The shards of a run that are to be made, and those that are under way."""

    def __init__(
        self,
        run: Run,
        control: HeartbeatWriter,
        job: JobSpec,
        *,
        slots: Callable[[], int],
        sleep: Callable[[float], None],
    ) -> None:
        self._run = run
        self._control = control
        self._slots = slots
        self._sleep = sleep
        self._job = job
        self._cost_limits = _cost_limits(run)  # of the start: what is spent since counts in the shares
        self._shares = Allocator(_wall(run), at_once=1)
        self._shards: Iterator[list[ImageRequest]] = run.shards()
        self._next = next(self._shards, None)
        self._number = 0
        self._again = False  # something was left out that a further round may make
        self._settled = -1  # when the round began
        self._told: dict[str, object] = {}

    def ready(self) -> Iterator[ShardTask]:
        """Tickets for as many shards as may be under way now."""
        self._shares.at_once = max(1, min(self._slots(), self._run.plan.settings.concurrency))
        while self._shares.in_flight < self._shares.at_once and not self._run.stop.is_set:
            shard = self._next or self._another_round()
            wall = shard and self._shares.take(self._number + 1, shard)
            if not shard or not wall:
                break
            self._number += 1
            self._next = next(self._shards, None)
            self._tell()
            yield self._ticket(shard, wall)
        self._tell()
        if self._next and not self._shares.in_flight and not self._run.stop.is_set:
            self._run.context.budget.exhausted(self._limit(self._next))

    def landed(self, ticket: ShardTask, report: ShardReport) -> None:
        """A shard has ended."""
        self._shares.give_back(ticket.shard, report.used)
        self._again |= report.budget_exhausted or report.stopped
        self._run.count(report.samples)
        if (error := report.error) is not None:
            self._run.stop.fail(error)

    def lost(self, *tickets: ShardTask) -> None:
        """Shards' workers died, and nobody else took them up: what they had recorded and received is saved."""
        ledgers = [self._claimed(ticket) for ticket in tickets]
        self._sleep(NOTICED_AFTER_S)
        for ticket, ledger in zip(tickets, ledgers, strict=True):
            past = self._saved(ticket, ledger)
            self._shares.give_back(ticket.shard, Spent(past.cost_bounds().high, past.max_images_made()))
            self._run.count(tuple(settled(ticket.requests, past)))
        self._again = True

    def drain(self, *tickets: ShardTask, grace: float) -> None:
        """Let workers that no cluster leads any more finish the attempts in flight, for at most `grace` seconds."""
        with suppress(OSError):  # workers that hear nothing more stop by themselves
            self._control.say(stop=True)
        ends = time.monotonic() + grace
        self._sleep(min(grace, EVERY_S + _LOOK_EVERY_S))  # by then they start no more
        while time.monotonic() < ends and any(map(self._in_flight, tickets)):
            self._sleep(_LOOK_EVERY_S)

    def cut(self) -> None:
        """End what is under way everywhere."""
        with suppress(OSError):  # workers that hear nothing more stop by themselves
            self._control.say(stop=True, cut=True)

    def _in_flight(self, ticket: ShardTask) -> bool:
        try:
            past = read_history(self._run.context.store.storage.logs(shard_folder(self._job.id, ticket.shard)))
        except OSError:
            return False
        return any(past.is_open(one.base, number) for one in ticket.requests for number in one.numbers)

    def _claimed(self, ticket: ShardTask) -> LedgerWriter:
        """Claim a shard as a worker would, so that one that lives after all finds out."""
        storage, folder = self._run.context.store.storage, shard_folder(self._job.id, ticket.shard)
        ledgers = [path.name for path in ledger_files(storage.logs(folder))]
        ledger = LedgerWriter(storage, now=moment_after(ledgers, time.time()), below=folder)
        ledger.claim(self._job.id, ticket.shard)
        return ledger

    def _saved(self, ticket: ShardTask, ledger: LedgerWriter) -> History:
        """What there is of a shard, with the pictures that lay there without a record."""
        store, folder = self._run.context.store, shard_folder(self._job.id, ticket.shard)
        past = read_history(store.storage.logs(folder))
        recover_staged(store, past, ledger)
        ledger.close()
        past.read_folder(store.storage.logs(folder))
        return past

    def _ticket(self, shard: list[ImageRequest], wall: Limits) -> ShardTask:
        alone = (single_sample(one, number) for one in shard if one.samples > 1 for number in one.numbers)
        tries = {one.key: count for one in (*shard, *alone) if (count := self._run.past.tries(one))}
        return ShardTask(self._job, self._number, tuple(shard), wall, self._share, tries)

    def _another_round(self) -> list[ImageRequest] | None:
        """What a lost worker or a wall of its own left out, once all others are back."""
        if self._shares.in_flight or not self._again:
            return None
        self._again = False
        if self._run.settled == self._settled:
            self._run.stop.fail(_no_progress())
            return None
        self._settled = self._run.settled
        self._run.past.read_folder(self._run.context.store.storage.logs(LEDGER))
        self._shards = self._run.shards(further=True)
        self._next = next(self._shards, None)
        return self._next

    def _tell(self) -> None:
        """Each shard under way has the same share; at the end, when none follows, a larger one."""
        word: dict[str, object] = {"share": self._share, "stop": self._run.stop.is_set}
        if word != self._told:
            with suppress(OSError):  # it is said again in a moment
                self._control.say(**word)
                self._told = word

    def _limit(self, shard: list[ImageRequest]) -> Limit:
        """Which of the run's limits left a shard out."""
        if self._shares.lacking(shard) == "pictures":
            return "max_images"
        costs = self._cost_limits
        return min(costs, key=lambda name: costs[name]) if costs else "max_images"

    @property
    def _share(self) -> float:
        return 1 / max(1, self._shares.at_once if self._next else self._shares.in_flight)


def _wall(run: Run) -> Limits:
    settings, past = run.plan.settings, run.past
    return Limits(
        min(_cost_limits(run).values(), default=None),
        None if settings.max_images is None else settings.max_images - past.max_images_made(settings.provider),
    )


def _cost_limits(run: Run) -> dict[Limit, float]:
    """What the run's limits in USD leave for it at its start."""
    settings = run.plan.settings
    limits: dict[Limit, float] = {}
    if settings.max_cost is not None:
        limits["max_cost"] = settings.max_cost - run.past.cost_bounds().high
    if settings.max_cost_per_run is not None:
        limits["max_cost_per_run"] = settings.max_cost_per_run
    return limits


def _no_progress() -> Fatal:
    return Fatal(
        "workers keep dying before they make anything; see their logs", kind="workers", outcome="outage", exit_code=75
    )
