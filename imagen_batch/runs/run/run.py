"""Carries out one run, from opening its folder to its summary, without Prefect.

with open_run(plan, env=os.environ) as run:  # lock_and_open.py
    for stage in run.stages():
        for shard in stage:
            run.generate_shard(shard)
    summary = run.finish()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from imagen_batch.ledger.costs import Charges
from imagen_batch.ledger.history import History
from imagen_batch.planning.pending import remaining_requests
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.requests_and_shards import shard_size, shards
from imagen_batch.records import ImageRequest
from imagen_batch.runs.run.keys_from_ledger import assign_keys
from imagen_batch.runs.run.result_counter import ResultCounter
from imagen_batch.sending.context import SendingContext
from imagen_batch.sending.generate import generate_shard
from imagen_batch.sending.stop import Stop
from imagen_batch.storage import LEDGER

if TYPE_CHECKING:
    from imagen_batch.reports.summary import Summary
    from imagen_batch.runs.finalize import WritePage


@dataclass
class Run:
    """A run that holds its folder's lock."""

    plan: RunPlan
    context: SendingContext
    history: History
    threads: ThreadPoolExecutor
    started: datetime
    recovered: int  # images that an interrupted run had received
    counter: ResultCounter
    summary: Summary | None = None
    began: tuple[int, Charges] | None = None  # attempts and charges of the folder when the run was opened
    _finished_before: int = 0  # results when the last round began

    @property
    def stop(self) -> Stop:
        """The signal that ends the run early."""
        return self.context.stop

    @property
    def finished_samples(self) -> int:
        """How many samples got a result since the run was opened."""
        return self.counter.finished

    @property
    def in_flight(self) -> int:
        """How many images this process is requesting at the moment."""
        return self.context.in_flight.images

    def abort(self) -> None:
        """End all attempts in flight."""
        self.context.transport.abort_all()

    def stages(self) -> Iterator[Iterator[list[ImageRequest]]]:
        """Yield the pending requests as shards, stage by stage: a stage needs results of the one before.

        All shards of a stage must have ended before the next stage is taken.
        """
        yield self.shards()
        while self.advance() or self._accepts_more():
            yield self.shards(retry_round=True)

    def advance(self) -> bool:
        """Look for new images that rows are waiting for; return whether there are requests that use them."""
        waiting = self.plan.index.waiting_rows
        if not waiting or self.context.stop.is_set:
            return False
        self._read_new_results()
        return self.plan.index.waiting_rows < waiting

    def _read_new_results(self) -> None:
        self.context.ledger.flush()
        self.history.read_folder(self.context.store.storage.logs(LEDGER))
        assign_keys(self.plan, self.context.store.storage, self.context.ledger, self.history)

    def shards(self, *, retry_round: bool = False) -> Iterator[list[ImageRequest]]:
        """Yield the pending requests in input order, in slices for the scheduler; stop early when the run does.

        A `retry_round` leaves out what this run has sent and got an answer for, whatever the answer was.
        """
        since = self.started.timestamp() if retry_round else None
        pending = remaining_requests(self.plan, self.history, answered_since=since)
        for shard in shards(pending, shard_size(self.plan.requests)):
            if self.context.stop.is_set:
                return
            yield shard

    def _accepts_more(self) -> bool:
        """Whether --accept may want more samples of some rows, since the last shards brought results."""
        progress = self.finished_samples != self._finished_before
        self._finished_before = self.finished_samples
        if self.plan.settings.accept is None or not progress or self.stop.is_set or self.context.budget.is_exhausted:
            return False
        self._read_new_results()
        return True

    def generate_shard(self, shard: Sequence[ImageRequest]) -> None:
        """Make the images of a shard."""
        generate_shard(shard, self.context, threads=self.threads)

    def finish(self, *, write_page: WritePage | None = None) -> Summary:
        """Close the ledger, write all tables, the page to look at and the summary. May be called again."""
        from imagen_batch.runs.finalize import finalize  # noqa: PLC0415 - imports Arrow, which sending does not need

        if self.summary is None:
            self.context.store.disk_space.release_ballast()  # ledger and tables may need it
            self.context.close()
            self.summary = finalize(
                self.plan,
                self.context,
                self.history,
                started=self.started,
                began=self.began,
                write_page=write_page,
            )
        return self.summary
