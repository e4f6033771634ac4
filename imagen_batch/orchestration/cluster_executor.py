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
from imagen_batch.orchestration.clusters import Cluster, open_cluster
from imagen_batch.runs.run import Run
from imagen_batch.workers.coordinator import Coordinator, coordinating
from imagen_batch.workers.messages import ShardReport, ShardTask
from imagen_batch.workers.worker import run_shard

_LOOK_EVERY_S = 0.5
_GOODBYE_S = 30.0


@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def run_shard_on_worker(ticket: bytes, number: int) -> bytes:  # noqa: ARG001 - the number is for the name
    """Make one shard; ticket and report are packed. No retries: whoever lost a worker gives its shard to another."""
    return run_shard(ShardTask.unpacked(ticket)).packed()


class ClusterExecutor:
    """The making of a run by workers. Tasks belong to the flow run whose `context` this is."""

    def __init__(self, run: Run, context: Context | None) -> None:
        self._run = run
        self._context = context or copy_context()
        self._dispatch: Coordinator | None = None
        self._seen_workers = time.monotonic()

    def cut(self) -> None:
        """End what is under way everywhere."""
        if self._dispatch is not None:
            self._dispatch.cut()

    def run_shards(self) -> Iterator[None]:
        """Send shards out and take them in until none is left; yields now and then."""
        with (
            open_cluster(self._run.plan.settings) as cluster,
            coordinating(self._run, slots=cluster.slots) as self._dispatch,
        ):
            yield from self._land_all(cluster, self._dispatch)

    def _land_all(self, cluster: Cluster, dispatch: Coordinator) -> Iterator[None]:
        in_flight: dict[object, ShardTask] = {}
        try:
            while True:
                for ticket in dispatch.ready():
                    future = self._context.run(cluster.submit, run_shard_on_worker, ticket.packed(), ticket.shard)
                    in_flight[future] = ticket
                if not in_flight:
                    return
                for future in cluster.landed(list(in_flight), _LOOK_EVERY_S):
                    self._take_in(dispatch, in_flight.pop(future), cluster.result(future))
                if in_flight and self._deserted(cluster):
                    dispatch.lost(*in_flight.values())
                    in_flight.clear()
                yield
        except Fatal:  # the cluster is away, and its workers may live on for a while
            dispatch.drain(*in_flight.values(), grace=self._run.plan.settings.grace)
            raise
        finally:
            if in_flight:  # whatever happened, nothing goes on behind the summary's back
                self._end(cluster, dispatch, in_flight)

    def _end(self, cluster: Cluster, dispatch: Coordinator, in_flight: dict[object, ShardTask]) -> None:
        """End what is in flight. Workers out of reach of the cluster still read the run's word in its storage."""
        dispatch.cut()
        try:
            cluster.landed(list(in_flight), _GOODBYE_S, all_of_them=True)
        except Fatal as error:
            self._run.stop.fail(error)
            dispatch.lost(*in_flight.values())

    def _deserted(self, cluster: Cluster) -> bool:
        """Whether there have been no workers for so long that none is to be expected; that ends the run."""
        now = time.monotonic()
        if cluster.slots():
            self._seen_workers = now
            return False
        stop = self._run.stop
        patience = _GOODBYE_S / 3 if stop.is_set else self._run.plan.settings.outage_limit
        if now - self._seen_workers < patience:
            return False
        stop.fail(Fatal("there are no workers any more", kind="workers", outcome="outage", exit_code=75))
        return True

    def _take_in(self, dispatch: Coordinator, ticket: ShardTask, packed: bytes | None) -> None:
        if packed is None:
            dispatch.lost(ticket)
        else:
            dispatch.landed(ticket, ShardReport.unpacked(packed))
