"""Shards as tasks of Dask or Ray: in other processes, on this machine or on many.

What may be sent out, and what follows from what comes back, is decided in `imagen_batch/dispatch.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextvars import Context, copy_context

from prefect import task
from prefect.cache_policies import NO_CACHE

from imagen_batch.errors import Fatal
from imagen_batch.orchestration.clusters import Crew, crew_for
from imagen_batch.runs.run import Run
from imagen_batch.workers.coordinator import Dispatch, dispatching
from imagen_batch.workers.messages import Report, Ticket
from imagen_batch.workers.worker import make_shard

_LOOK_EVERY_S = 0.5
_GOODBYE_S = 30.0


@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def make_elsewhere(ticket: bytes, number: int) -> bytes:  # noqa: ARG001 - the number is for the name
    """Make one shard; ticket and report are packed. No retries: whoever lost a worker gives its shard to another."""
    return make_shard(Ticket.unpacked(ticket)).packed()


class Elsewhere:
    """The making of a run by workers. Tasks belong to the flow run whose `context` this is."""

    def __init__(self, run: Run, context: Context | None) -> None:
        self._run = run
        self._context = context or copy_context()
        self._dispatch: Dispatch | None = None
        self._seen_workers = time.monotonic()

    def cut(self) -> None:
        """End what is under way everywhere."""
        if self._dispatch is not None:
            self._dispatch.cut()

    def landings(self) -> Iterator[None]:
        """Send shards out and take them in until none is left; yields now and then."""
        with (
            crew_for(self._run.examined.settings) as crew,
            dispatching(self._run, slots=crew.slots) as self._dispatch,
        ):
            yield from self._land_all(crew, self._dispatch)

    def _land_all(self, crew: Crew, dispatch: Dispatch) -> Iterator[None]:
        flying: dict[object, Ticket] = {}
        try:
            while True:
                for ticket in dispatch.ready():
                    future = self._context.run(crew.submit, make_elsewhere, ticket.packed(), ticket.shard)
                    flying[future] = ticket
                if not flying:
                    return
                for future in crew.landed(list(flying), _LOOK_EVERY_S):
                    self._take_in(dispatch, flying.pop(future), crew.result(future))
                if flying and self._deserted(crew):
                    dispatch.lost(*flying.values())
                    flying.clear()
                yield
        except Fatal:  # the cluster is away, and its workers may live on for a while
            dispatch.drain(*flying.values(), grace=self._run.examined.settings.grace)
            raise
        finally:
            if flying:  # whatever happened, nothing goes on behind the summary's back
                self._end(crew, dispatch, flying)

    def _end(self, crew: Crew, dispatch: Dispatch, flying: dict[object, Ticket]) -> None:
        """End what is in flight. Workers out of reach of the cluster still read the run's word in its storage."""
        dispatch.cut()
        try:
            crew.landed(list(flying), _GOODBYE_S, all_of_them=True)
        except Fatal as error:
            self._run.stop.for_error(error)
            dispatch.lost(*flying.values())

    def _deserted(self, crew: Crew) -> bool:
        """Whether there have been no workers for so long that none is to be expected; that ends the run."""
        now = time.monotonic()
        if crew.slots():
            self._seen_workers = now
            return False
        stop = self._run.stop
        patience = _GOODBYE_S / 3 if stop.is_set else self._run.examined.settings.outage_limit
        if now - self._seen_workers < patience:
            return False
        stop.for_error(Fatal("there are no workers any more", kind="workers", outcome="outage", exit_code=75))
        return True

    def _take_in(self, dispatch: Dispatch, ticket: Ticket, packed: bytes | None) -> None:
        if packed is None:
            dispatch.lost(ticket)
        else:
            dispatch.landed(ticket, Report.unpacked(packed))
