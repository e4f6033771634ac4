"""Hands a run's shards to workers in other processes, and collects their reports.

It does not know how a task reaches a worker. An executor takes tasks from `next_tasks` and passes each report to
`complete`, or the task to `reclaim` where the worker died.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from imagen_batch.errors import StopRun, storage_failure
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.writer import LedgerWriter, open_writer
from imagen_batch.planning.requests_and_shards import single_sample
from imagen_batch.records import ImageRequest, Limit
from imagen_batch.runs.heartbeat_to_workers import EVERY_S, HeartbeatWriter
from imagen_batch.runs.recovery.staged_images import recover_staged_images
from imagen_batch.runs.run import Run
from imagen_batch.storage import LEDGER
from imagen_batch.workers.allocation import Allocator, Limits, Spent
from imagen_batch.workers.messages import JobSpec, ShardReport, ShardTask
from imagen_batch.workers.worker import NOTICED_AFTER_S, recorded_results, shard_folder

_POLL_S = 0.5


@contextmanager
def coordinating(
    run: Run, *, slots: Callable[[], int], sleep: Callable[[float], None] = time.sleep
) -> Iterator[Coordinator]:
    """Coordinate a run's workers for the block. `slots` returns how many shards they can work on at once."""
    settings, provider = run.plan.settings, run.context.provider
    job = JobSpec(uuid.uuid4().hex, settings, provider.base_url, run.context.models)
    heartbeat = HeartbeatWriter(
        run.context.store.storage, job.id, on_lost=lambda error: run.stop.fail(storage_failure(error))
    )
    with heartbeat.running():
        yield Coordinator(run, heartbeat, job, slots=slots, sleep=sleep)


class Coordinator:
    """The shards of a run that are pending, and those that are in flight."""

    def __init__(
        self,
        run: Run,
        heartbeat: HeartbeatWriter,
        job: JobSpec,
        *,
        slots: Callable[[], int],
        sleep: Callable[[float], None],
    ) -> None:
        self._run = run
        self._heartbeat = heartbeat
        self._slots = slots
        self._sleep = sleep
        self._job = job
        self._cost_limits = _cost_limits(run)  # at the start: the allocator counts what is spent since
        self._allocator = Allocator(_limits(run), at_once=1)
        self._shards: Iterator[list[ImageRequest]] = run.shards()
        self._next = next(self._shards, None)
        self._number = 0
        self._needs_round = False  # another round may generate samples that were left out
        self._results_before_round = -1  # results when the round began
        self._published: dict[str, object] = {}

    def next_tasks(self) -> Iterator[ShardTask]:
        """Yield tasks for as many shards as may start now."""
        self._allocator.at_once = max(1, min(self._slots(), self._run.plan.settings.concurrency))
        while self._allocator.in_flight < self._allocator.at_once and not self._run.stop.is_set:
            shard = self._next or self._next_round()
            limits = shard and self._allocator.allocate(self._number + 1, shard)
            if not shard or not limits:
                break
            self._number += 1
            self._next = next(self._shards, None)
            self._publish()
            yield self._task(shard, limits)
        self._publish()
        if self._next and not self._allocator.in_flight and not self._run.stop.is_set:
            self._run.context.budget.mark_exhausted(self._limit(self._next))

    def complete(self, task: ShardTask, report: ShardReport) -> None:
        """Process the report of a shard that ended."""
        self._allocator.release(task.shard, report.used)
        accepting = self._run.plan.settings.accept is not None  # refused samples may be replaced
        self._needs_round |= report.budget_exhausted or report.stopped or accepting
        self._run.counter(report.samples)
        if (error := report.error) is not None:
            self._run.stop.fail(error)

    def reclaim(self, *tasks: ShardTask) -> None:
        """Save what the workers of these shards recorded and received; they died, and no other worker took over."""
        ledgers = [self._claim(task) for task in tasks]
        self._sleep(NOTICED_AFTER_S)
        for task, ledger in zip(tasks, ledgers, strict=True):
            history = self._recover(task, ledger)
            self._allocator.release(task.shard, Spent(history.cost_bounds().upper_bound, history.max_images_made()))
            self._run.counter(tuple(recorded_results(task.requests, history)))
        self._needs_round = True

    def drain(self, *tasks: ShardTask, grace: float) -> None:
        """Let workers whose cluster is gone finish the attempts in flight, for at most `grace` seconds."""
        with suppress(OSError):  # workers without a heartbeat stop by themselves
            self._heartbeat.publish(stop=True)
        deadline = time.monotonic() + grace
        self._sleep(min(grace, EVERY_S + _POLL_S))  # until they start no more attempts
        while time.monotonic() < deadline and any(map(self._has_attempts_in_flight, tasks)):
            self._sleep(_POLL_S)

    def abort(self) -> None:
        """Abort the attempts in flight on all workers."""
        with suppress(OSError):  # workers without a heartbeat stop by themselves
            self._heartbeat.publish(stop=True, cut=True)

    def _has_attempts_in_flight(self, task: ShardTask) -> bool:
        try:
            history = read_history(self._run.context.store.storage.logs(shard_folder(self._job.id, task.shard)))
        except OSError:
            return False
        return any(
            history.is_unresolved(request.base, number) for request in task.requests for number in request.numbers
        )

    def _claim(self, task: ShardTask) -> LedgerWriter:
        """Claim a shard as a worker would, so that its worker notices if it is alive after all."""
        storage, folder = self._run.context.store.storage, shard_folder(self._job.id, task.shard)
        ledger = open_writer(storage, below=folder)
        ledger.claim(self._job.id, task.shard)
        return ledger

    def _recover(self, task: ShardTask, ledger: LedgerWriter) -> History:
        """Return the history of a shard, after images without a record have been recovered."""
        store, folder = self._run.context.store, shard_folder(self._job.id, task.shard)
        history = read_history(store.storage.logs(folder))
        recover_staged_images(store, history, ledger)
        ledger.close()
        history.read_folder(store.storage.logs(folder))
        return history

    def _task(self, shard: list[ImageRequest], limits: Limits) -> ShardTask:
        singles = (
            single_sample(request, number) for request in shard if request.samples > 1 for number in request.numbers
        )
        previous_attempts = {
            request.key: count
            for request in (*shard, *singles)
            if (count := self._run.history.previous_attempts(request))
        }
        return ShardTask(self._job, self._number, tuple(shard), limits, self._share, previous_attempts)

    def _next_round(self) -> list[ImageRequest] | None:
        """Return the first shard of a further round, once no shard is in flight.

        It has what dead workers and exhausted limits left out, else what uses images that were just made.
        """
        if self._allocator.in_flight:
            return None
        if not self._needs_round:
            return self._start_round() if self._run.advance() else None
        self._needs_round = False
        if self._run.finished_samples == self._results_before_round:
            self._run.stop.fail(_no_progress())
            return None
        self._results_before_round = self._run.finished_samples
        self._run.history.read_folder(self._run.context.store.storage.logs(LEDGER))
        return self._start_round()

    def _start_round(self) -> list[ImageRequest] | None:
        self._shards = self._run.shards(retry_round=True)
        self._next = next(self._shards, None)
        return self._next

    def _publish(self) -> None:
        """Publish the share of each shard in flight, which grows when no more shards follow, and whether to stop."""
        state: dict[str, object] = {"share": self._share, "stop": self._run.stop.is_set}
        if state != self._published:
            with suppress(OSError):  # it is published again in a moment
                self._heartbeat.publish(**state)
                self._published = state

    def _limit(self, shard: list[ImageRequest]) -> Limit:
        """Return the limit of the run that left a shard out."""
        if self._allocator.exceeded_limit(shard) == "images":
            return "max_images"
        costs = self._cost_limits
        return min(costs, key=lambda name: costs[name]) if costs else "max_images"

    @property
    def _share(self) -> float:
        return 1 / max(1, self._allocator.at_once if self._next else self._allocator.in_flight)


def _limits(run: Run) -> Limits:
    settings, history = run.plan.settings, run.history
    return Limits(
        min(_cost_limits(run).values(), default=None),
        None if settings.max_images is None else settings.max_images - history.max_images_made(settings.provider),
    )


def _cost_limits(run: Run) -> dict[Limit, float]:
    """Return what each limit in USD leaves for the run at its start."""
    settings = run.plan.settings
    limits: dict[Limit, float] = {}
    if settings.max_cost is not None:
        limits["max_cost"] = settings.max_cost - run.history.cost_bounds(settings.provider).upper_bound
    if settings.max_cost_per_run is not None:
        limits["max_cost_per_run"] = settings.max_cost_per_run
    if run.context.budget.period is not None:
        limits["max_cost_per"] = run.context.budget.period.granted
    return limits


def _no_progress() -> StopRun:
    return StopRun(
        "workers keep dying before they generate anything; see their logs",
        cause="outage",
        exit_code=75,
    )
