"""Publishes progress, summary and causes as Prefect artifacts; images stay in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_run_logger

from imagen_batch.orchestration.recording.page_texts import (
    DESCRIPTIONS,
    artifact_key,
    describe_progress,
    link_to_manifest,
    top_causes,
)
from imagen_batch.reports.render import to_markdown
from imagen_batch.reports.summary import Summary

_UPDATE_EVERY_S = 1.0


def _call_safely(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call Prefect and return its result; None after an error, which must not end a run that costs money."""
    try:
        return call(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - the run does not depend on Prefect
        get_run_logger().warning("Prefect did not accept an artifact: %r", error)
        return None


class ProgressArtifact:
    """Publishes the share of samples with an outcome, at most once a second."""

    def __init__(self, name: str, total: int, started: float) -> None:
        self._total = max(1, total)
        self._updated_at = time.monotonic()
        self._id: UUID | None = _call_safely(
            create_progress_artifact,
            0.0,
            key=artifact_key("progress", name),
            description=describe_progress(total, started),
        )

    def update(self, finished: int, *, last: bool = False) -> None:
        """Publish that `finished` samples have an outcome."""
        now = time.monotonic()
        if self._id is not None and (last or now - self._updated_at >= _UPDATE_EVERY_S):
            self._updated_at = now
            if not _call_safely(self._publish, self._id, min(100.0, 100.0 * finished / self._total)):
                self._id = None  # do not call a server that is gone every second

    @staticmethod
    def _publish(artifact: UUID, percent: float) -> bool:
        update_progress_artifact(artifact, percent)
        return True


def show_summary(name: str, summary: Summary) -> None:
    """Publish the summary as text, a link to the manifest, and the causes as a table."""
    _call_safely(
        create_markdown_artifact,
        to_markdown(summary),
        key=artifact_key("summary", name),
        description=DESCRIPTIONS["summary"],
    )
    _call_safely(
        create_link_artifact,
        link_to_manifest(summary.facts.out),
        link_text="manifest.csv",
        key=artifact_key("manifest", name),
        description=DESCRIPTIONS["manifest"],
    )
    if causes := top_causes(summary):
        _call_safely(
            create_table_artifact, causes, key=artifact_key("causes", name), description=DESCRIPTIONS["causes"]
        )
