"""Makes shards as Prefect tasks of Dask or Ray, in other processes on this machine or on many.

`workers/coordinator.py` decides which shards are sent out and what follows from their reports.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextvars import Context, copy_context

from prefect import task
from prefect.cache_policies import NO_CACHE

from imagen_batch.errors import StopRun
from imagen_batch.orchestration.executors.clusters import Cluster, open_cluster
from imagen_batch.runs.run import Run
from imagen_batch.workers.coordinator import Coordinator, coordinating
from imagen_batch.workers.messages import ShardReport, ShardTask
from imagen_batch.workers.worker import run_shard

_POLL_S = 0.5
_FINISH_S = 30.0


@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def run_shard_on_worker(shard_task: bytes, number: int) -> bytes:  # noqa: ARG001 - the number is part of the name
    """Make one shard. Task and report are serialized. No retries: the coordinator sends a lost shard out again."""
    return run_shard(ShardTask.from_bytes(shard_task)).to_bytes()


class ClusterExecutor:
    """Makes the shards of a run on workers. Tasks belong to the flow run that `context` is from."""

    def __init__(self, run: Run, context: Context | None) -> None:
        self._run = run
        self._context = context or copy_context()
        self._coordinator: Coordinator | None = None
        self._workers_seen_at = time.monotonic()

    def abort(self) -> None:
        """Abort what is in flight on all workers."""
        if self._coordinator is not None:
            self._coordinator.abort()

    def run_shards(self) -> Iterator[None]:
        """Send shards out and collect their reports until none is left; yields every so often."""
        with (
            open_cluster(self._run.plan.settings) as cluster,
            coordinating(self._run, slots=cluster.slots) as self._coordinator,
        ):
            yield from self._run_all(cluster, self._coordinator)

    def _run_all(self, cluster: Cluster, coordinator: Coordinator) -> Iterator[None]:
        in_flight: dict[object, ShardTask] = {}
        try:
            while True:
                for shard in coordinator.next_tasks():
                    future = self._context.run(cluster.submit, run_shard_on_worker, shard.to_bytes(), shard.shard)
                    in_flight[future] = shard
                if not in_flight:
                    return
                for future in cluster.wait(list(in_flight), _POLL_S):
                    shard, report = in_flight.pop(future), cluster.result(future)
                    if report is None:
                        coordinator.reclaim(shard)
                    else:
                        coordinator.complete(shard, ShardReport.from_bytes(report))
                if in_flight and self._has_lost_all_workers(cluster):
                    coordinator.reclaim(*in_flight.values())
                    in_flight.clear()
                yield
        except StopRun:  # the cluster can't be reached, but its workers may still be running
            coordinator.drain(*in_flight.values(), grace=self._run.plan.settings.grace)
            raise
        finally:
            if in_flight:  # no worker may send anything once the summary is written
                self._stop_workers(cluster, coordinator, in_flight)

    def _stop_workers(self, cluster: Cluster, coordinator: Coordinator, in_flight: dict[object, ShardTask]) -> None:
        """Abort what is in flight. Workers that the cluster can't reach still read the heartbeat in the storage."""
        coordinator.abort()
        try:
            cluster.wait(list(in_flight), _FINISH_S, for_all=True)
        except StopRun as error:
            self._run.stop.fail(error)
            coordinator.reclaim(*in_flight.values())

    def _has_lost_all_workers(self, cluster: Cluster) -> bool:
        """Whether there have been no workers for so long that none is expected back; if so, stop the run."""
        now = time.monotonic()
        if cluster.slots():
            self._workers_seen_at = now
            return False
        stop = self._run.stop
        patience = _FINISH_S / 3 if stop.is_set else self._run.plan.settings.outage_limit
        if now - self._workers_seen_at < patience:
            return False
        stop.fail(StopRun("there are no workers any more", cause="outage", exit_code=75))
        return True
