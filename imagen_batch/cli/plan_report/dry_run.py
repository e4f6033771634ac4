"""Works out what a run would do, without sending or writing anything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO

from imagen_batch.inputs.changes import Changes
from imagen_batch.inputs.reconcile_with_folder import count_changes, prepare_plan
from imagen_batch.planning.pending import PendingTotals, count_pending
from imagen_batch.planning.plan import RunPlan
from imagen_batch.review.decisions.take_review_into_run import review_of_run
from imagen_batch.sending.pacing.earlier_pace import EarlierPace, earlier_paces
from imagen_batch.sending.period.room_left import PeriodRoom, find_room
from imagen_batch.settings import Settings
from imagen_batch.storage import check_location


@dataclass(frozen=True)
class Preview:
    """What a run would do. `questions` are those that it would ask first."""

    plan: RunPlan
    pending: PendingTotals
    changes: Changes | None
    questions: tuple[str, ...]
    notes: tuple[str, ...] = ()  # about the review
    paces: Mapping[str, EarlierPace] = field(default_factory=dict)  # that earlier runs found, by model
    periods: tuple[PeriodRoom, ...] = ()  # what each --max-cost-per leaves


@contextmanager
def open_preview(
    settings: Settings, *, env: Mapping[str, str] = os.environ, stdin: IO[bytes] | None = None
) -> Iterator[Preview]:
    """Work out what a run with these settings would do. Sends and writes nothing.

    `stdin` is read if the prompt file is `-`.
    """
    today = datetime.now(UTC).date()
    questions: list[str] = []

    def agree(question: str) -> bool:
        questions.append(question)
        return True

    notes: list[str] = []
    decisions, _ = review_of_run(settings, notes.append)
    plan = prepare_plan(settings, today=today, confirm=agree, decisions=decisions, stdin=stdin)
    try:
        check_location(plan.settings.folder)
        changes, paces = count_changes(plan, today=today), _earlier_paces(plan, env)
        periods = find_room(plan.settings)
        yield Preview(plan, count_pending(plan), changes, tuple(questions), tuple(notes), paces, periods)
    finally:
        plan.delete_spool()


def _earlier_paces(plan: RunPlan, env: Mapping[str, str]) -> dict[str, EarlierPace]:
    paces = earlier_paces(plan.settings, env)
    return {model: pace for model in plan.images_by_model if (pace := paces.of(model)) is not None}
