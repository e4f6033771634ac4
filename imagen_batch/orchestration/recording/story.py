"""Describes what Prefect shows of a run, as plain values that can be stored in a file.

A story is built again and again while the run continues. Recording a later one adds only what is new, so that
another process can continue where this one stopped.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.local_executor import ShardWork
from imagen_batch.orchestration.recording.end_state import EndState, describe_end
from imagen_batch.orchestration.recording.page import link_to_manifest, top_causes
from imagen_batch.reports.render import to_markdown
from imagen_batch.reports.summary import Summary


@dataclass(frozen=True)
class ShardStory:
    """A shard that was started; times are seconds since 1970."""

    number: int
    requests: int
    started: float
    ended: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Ending:
    """How a run ended, and what is published about it."""

    state: EndState
    at: float
    markdown: str
    manifest: str
    causes: list[dict[str, Any]]


@dataclass(frozen=True)
class Story:
    """A run up to now. `key` is the same in every story of this run."""

    key: str
    title: str
    name: str  # of the folder; artifacts are found under it
    parameters: dict[str, Any]
    started: float
    images: int
    finished: int
    warnings: list[str]
    shards: list[ShardStory]
    ending: Ending | None = None

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Story:
        """Read a story. Raises ValueError, TypeError or KeyError for anything else."""
        values = json.loads(text)
        values["shards"] = [ShardStory(**shard) for shard in values["shards"]]
        if (ending := values["ending"]) is not None:
            values["ending"] = Ending(**{**ending, "state": EndState(**ending["state"])})
        return cls(**values)


def describe_execution(execution: Execution, key: str) -> Story:
    """Return the story of an execution up to now."""
    run, ending = execution.run, None
    if execution.ended.is_set() and execution.summary is not None:
        ending = _describe_ending(execution.summary)
    finished_before = run.plan.selected_samples - execution.pending.samples
    return Story(
        key=key,
        title=run.plan.settings.run_name,
        name=PurePosixPath(run.plan.settings.folder).name,
        parameters={"settings": run.plan.settings.model_dump(mode="json")},
        started=run.started.timestamp(),
        images=run.plan.selected_samples,
        finished=finished_before + run.finished_samples,
        warnings=list(run.plan.warnings),
        shards=[_describe_shard(work) for work in list(execution.started_shards)],
        ending=ending,
    )


def _describe_shard(work: ShardWork) -> ShardStory:
    error = None if work.error is None else repr(work.error)
    return ShardStory(work.number, work.requests, work.started, work.ended, error)


def _describe_ending(summary: Summary) -> Ending:
    return Ending(
        state=describe_end(summary),
        at=(summary.facts.finished_at or datetime.now(UTC)).timestamp(),
        markdown=to_markdown(summary),
        manifest=link_to_manifest(summary.facts.out),
        causes=top_causes(summary),
    )
