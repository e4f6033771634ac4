"""What of a run is shown in Prefect's own pages? Progress, the summary, the causes: never a picture."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
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

from imagen_batch.reports.render import to_json, to_markdown
from imagen_batch.reports.summary import Summary
from imagen_batch.storage import is_url
from imagen_batch.text import plural

_EVERY_S = 1.0
_MOST_CAUSES = 100


def _courtesy(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Call Prefect; a hiccup of its server must not end a run that costs money. None when there was one."""
    try:
        return call(*given, **named)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
        get_run_logger().warning("Prefect did not take an artifact: %r", error)
        return None


class ProgressArtifact:
    """The share of samples with an outcome, told at most once a second."""

    def __init__(self, name: str, asked: int) -> None:
        self._asked = max(1, asked)
        self._told = time.monotonic()
        self._id: UUID | None = _courtesy(
            create_progress_artifact,
            0.0,
            key=_key("progress", name),
            description=f"{plural(asked, 'picture')} asked for",
        )

    def update(self, settled: int, *, last: bool = False) -> None:
        """`settled` samples have an outcome now."""
        now = time.monotonic()
        if self._id is not None and (last or now - self._told >= _EVERY_S):
            self._told = now
            if not _courtesy(self._updated, self._id, min(100.0, 100.0 * settled / self._asked)):
                self._id = None  # a server that is gone is not asked each second

    @staticmethod
    def _updated(artifact: UUID, percent: float) -> bool:
        update_progress_artifact(artifact, percent)
        return True


def show_summary(name: str, summary: Summary) -> None:
    """The summary as text and its causes as a table."""
    _courtesy(create_markdown_artifact, to_markdown(summary), key=_key("summary", name))
    _courtesy(
        create_link_artifact, _manifest(summary.facts.out), link_text="manifest.csv", key=_key("manifest", name)
    )
    causes = to_json(summary)["causes"]
    if causes:
        _courtesy(create_table_artifact, causes[:_MOST_CAUSES], key=_key("causes", name))


def _manifest(place: str) -> str:
    return f"{place}/manifest.csv" if is_url(place) else (Path(place) / "manifest.csv").resolve().as_uri()


def _key(kind: str, name: str) -> str:
    folded = re.sub(r"[^a-z0-9]+", "-", Path(name).name.lower()).strip("-")
    return f"imagen-batch-{kind}-{folded or 'run'}"[:200].rstrip("-")
