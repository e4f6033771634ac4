"""Shows an execution in Prefect: a task run for each shard, progress, the summary, the final state."""

from __future__ import annotations

import logging
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from prefect.utilities.annotations import quote

from imagen_batch.errors import ImagenBatchError
from imagen_batch.orchestration.artifacts import ProgressArtifact, show_summary
from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.executors.local_executor import ShardWork
from imagen_batch.orchestration.recording.end_state import describe_end
from imagen_batch.orchestration.recording.page_texts import describe_shard_end, describe_shard_start
from imagen_batch.reports.render import to_json
from imagen_batch.reports.summary import Summary


class RunFailed(ImagenBatchError):
    """The run made no images or was stopped. `summary` has the content of summary.json."""

    def __init__(self, message: str, summary: dict[str, Any]) -> None:
        super().__init__(message)
        self.summary = summary


@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def watch_shard(work: ShardWork, number: int) -> int:  # noqa: ARG001 - the number is part of the name
    """Wait until a shard is done. The executor's threads send, retry and record its requests."""
    log = get_run_logger()
    log.info(describe_shard_start(work.number, work.requests, work.started))
    work.done.wait()
    if work.error is not None:
        raise work.error
    assert work.ended is not None
    log.info(describe_shard_end(work.number, work.requests, work.ended - work.started, stopped=work.stopped))
    return work.requests


def watch(execution: Execution) -> None:
    """Show shards and progress until the end of the run. Called in a flow run."""
    run = execution.run
    for warning in run.plan.warnings:
        get_run_logger().warning(warning)
    finished_before = run.plan.selected_samples - execution.pending.samples
    name = run.plan.settings.shown_name
    progress = ProgressArtifact(name, run.plan.selected_samples, run.started.timestamp())
    for work in execution.shards():
        if work is not None:
            watch_shard.submit(quote(work), work.number)  # type: ignore[call-overload]  # the task gets `work`
        progress.update(finished_before + run.finished_samples)
    assert execution.summary is not None
    progress.update(finished_before + run.finished_samples, last=True)
    show_summary(name, execution.summary)


def final_state(summary: Summary) -> State[Any]:
    """Log the counts of a summary and return the state for them, with the summary as its result."""
    end, data = describe_end(summary), to_json(summary)
    get_run_logger().log(logging.INFO if end.name == "Completed" else logging.WARNING, end.message)
    if end.type == "FAILED":
        return Failed(message=end.message, data=RunFailed(end.message, data))
    return Completed(name=end.name, message=end.message, data=data)
