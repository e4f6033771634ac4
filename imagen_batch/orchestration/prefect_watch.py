"""What Prefect shows of an execution: a task run for each shard, progress, the summary, the final state."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any
from uuid import uuid4

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from imagen_batch.errors import ImagenBatchError
from imagen_batch.orchestration.artifacts import ProgressArtifact, show_summary
from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.local_executor import ShardWork
from imagen_batch.reports.render import to_json
from imagen_batch.reports.summary import Summary

_LONGEST_MESSAGE = 20_000  # characters of a state

_shards: dict[tuple[str, int], ShardWork] = {}


class RunFailed(ImagenBatchError):
    """The flow made no pictures, or was stopped. `summary` is what summary.json says."""

    def __init__(self, message: str, summary: dict[str, Any]) -> None:
        super().__init__(message)
        self.summary = summary


@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def watch_shard(execution: str, number: int) -> int:
    """Last as long as a shard does. Its requests are made, retried and recorded by our own threads."""
    work = _shards.pop((execution, number))
    work.done.wait()
    if work.error is not None:
        raise work.error
    return work.requests


def watch(execution: Execution) -> None:
    """Show shards and progress while they are made; returns at the end of the run. Called in a flow run."""
    run = execution.run
    for warning in run.plan.warnings:
        get_run_logger().warning(warning)
    before = run.plan.wanted_samples - execution.left.samples
    name, unique = PurePosixPath(run.plan.settings.place).name, uuid4().hex
    progress = ProgressArtifact(name, run.plan.wanted_samples)
    for work in execution.shards():
        if work is not None:
            _shards[unique, work.number] = work
            watch_shard.submit(unique, work.number)
        progress.update(before + run.settled)
    assert execution.summary is not None
    progress.update(before + run.settled, last=True)
    show_summary(name, execution.summary)


def final_state(summary: Summary) -> State[Any]:
    """The state that the counts deserve, with the summary as its result."""
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items() if count)
    warnings = "".join(f"\nwarning: {warning}" for warning in summary.facts.warnings)
    data = to_json(summary)
    if summary.exit_code == 0:
        return Completed(message=shortened(counts + warnings), data=data)
    if summary.counts["ok"] == 0 or summary.stopped_by is not None:
        message = shortened(f"{summary.stopped_by or 'no pictures'}: {counts}{warnings}")
        return Failed(message=message, data=RunFailed(message, data))
    return Completed(name="PartlyMade", message=shortened(counts + warnings), data=data)


def shortened(message: str) -> str:
    """What fits into the message of a state; the log has all of it."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}... (more in the log)"
