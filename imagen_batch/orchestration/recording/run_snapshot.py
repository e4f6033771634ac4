"""Describes what Prefect shows of a run, as plain values that can be stored in a file.

A snapshot is built again and again while the run continues. Recording a later one adds only what is new, so that
another process can continue where this one stopped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.executors.local_executor import ShardWork
from imagen_batch.orchestration.recording.end_state import EndState, describe_end
from imagen_batch.orchestration.recording.page_texts import link_to_manifest, tag_of_host, top_causes
from imagen_batch.reports.render import to_markdown
from imagen_batch.reports.summary import Summary
from imagen_batch.settings import Settings


@dataclass(frozen=True)
class ShardSnapshot:
    """A shard that was started; times are seconds since 1970."""

    number: int
    requests: int
    started: float
    ended: float | None = None
    error: str | None = None
    stopped: bool = False  # by the end of the run, before all of its requests were sent


@dataclass(frozen=True)
class Ending:
    """How a run ended, and what is published about it."""

    state: EndState
    at: float
    markdown: str
    manifest: str
    causes: list[dict[str, Any]]


@dataclass(frozen=True)
class RunSnapshot:
    """A run up to now. `key` is the same in every snapshot of this run."""

    key: str
    title: str
    name: str  # of the folder; artifacts are found under it
    parameters: dict[str, Any]
    started: float
    images: int
    finished: int
    warnings: list[str]
    shards: list[ShardSnapshot]
    ending: Ending | None = None
    tags: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RunSnapshot:
        """Read a snapshot. Raises ValueError, TypeError or KeyError for anything else."""
        values = json.loads(text)
        values["shards"] = [ShardSnapshot(**shard) for shard in values["shards"]]
        if (ending := values["ending"]) is not None:
            values["ending"] = Ending(**{**ending, "state": EndState(**ending["state"])})
        return cls(**values)


def describe_execution(execution: Execution, key: str) -> RunSnapshot:
    """Return the snapshot of an execution up to now."""
    run, ending = execution.run, None
    if execution.ended.is_set() and execution.summary is not None:
        ending = _describe_ending(execution.summary)
    finished_before = run.plan.selected_samples - execution.pending.samples
    return RunSnapshot(
        key=key,
        title=run.plan.settings.run_name,
        name=run.plan.settings.shown_name,
        parameters={"settings": run.plan.settings.model_dump(mode="json")},
        started=run.started.timestamp(),
        images=run.plan.selected_samples,
        finished=finished_before + run.finished_samples,
        warnings=list(run.plan.warnings),
        shards=[_describe_shard(work) for work in list(execution.started_shards)],
        ending=ending,
        tags=_choose_tags(run.plan.settings),
    )


def _choose_tags(settings: Settings) -> list[str]:
    """Return the tags of a run: its job, if it has a name, and its machine."""
    return [*([settings.name] if settings.name else []), tag_of_host()]


def _describe_shard(work: ShardWork) -> ShardSnapshot:
    error = None if work.error is None else repr(work.error)
    return ShardSnapshot(work.number, work.requests, work.started, work.ended, error, work.stopped)


def _describe_ending(summary: Summary) -> Ending:
    return Ending(
        state=describe_end(summary),
        at=(summary.facts.finished_at or datetime.now(UTC)).timestamp(),
        markdown=to_markdown(summary),
        manifest=link_to_manifest(summary.facts.out),
        causes=top_causes(summary),
    )
