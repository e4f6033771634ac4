"""Shows an execution in Prefect: a task run for each shard, progress, the summary, the final state."""

from __future__ import annotations

from pathlib import PurePosixPath
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
from imagen_batch.orchestration.local_executor import ShardWork
from imagen_batch.reports.render import to_json
from imagen_batch.reports.summary import Summary

_MOST_CHARS = 20_000  # of the message of a state


class RunFailed(ImagenBatchError):
    """The run made no images or was stopped. `summary` has the content of summary.json."""

    def __init__(self, message: str, summary: dict[str, Any]) -> None:
        super().__init__(message)
        self.summary = summary


@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def watch_shard(work: ShardWork, number: int) -> int:  # noqa: ARG001 - the number is part of the name
    """Wait until a shard is done. The executor's threads send, retry and record its requests."""
    work.done.wait()
    if work.error is not None:
        raise work.error
    return work.requests


def watch(execution: Execution) -> None:
    """Show shards and progress until the end of the run. Called in a flow run."""
    run = execution.run
    for warning in run.plan.warnings:
        get_run_logger().warning(warning)
    finished_before = run.plan.selected_samples - execution.pending.samples
    name = PurePosixPath(run.plan.settings.folder).name
    progress = ProgressArtifact(name, run.plan.selected_samples)
    for work in execution.shards():
        if work is not None:
            watch_shard.submit(quote(work), work.number)  # type: ignore[call-overload]  # the task gets `work`
        progress.update(finished_before + run.finished_samples)
    assert execution.summary is not None
    progress.update(finished_before + run.finished_samples, last=True)
    show_summary(name, execution.summary)


def final_state(summary: Summary) -> State[Any]:
    """Return the state that the counts stand for, with the summary as its result."""
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items() if count)
    warnings = "".join(f"\nwarning: {warning}" for warning in summary.facts.warnings)
    data = to_json(summary)
    if summary.exit_code == 0:
        return Completed(message=shorten_message(counts + warnings), data=data)
    stopped_early = summary.stopped_by is not None and summary.state != "budget"
    if summary.counts["ok"] == 0 or stopped_early:
        message = shorten_message(f"{summary.stopped_by or 'no images'}: {counts}{warnings}")
        return Failed(message=message, data=RunFailed(message, data))
    return Completed(name="PartlyMade", message=shorten_message(counts + warnings), data=data)


def shorten_message(message: str) -> str:
    """Cut a message to what a state takes; the log has all of it."""
    return message if len(message) <= _MOST_CHARS else f"{message[:_MOST_CHARS]}... (more in the log)"
