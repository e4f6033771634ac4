"""Formats a plan for people: what would be sent, under which names, at what price, in what time."""

from __future__ import annotations

from collections.abc import Mapping

from imagen_batch.cli.plan_report.describe_budgets import describe_budget, find_budget_room
from imagen_batch.cli.plan_report.describe_input import (
    describe_changes,
    describe_columns,
    describe_references,
    describe_selected,
)
from imagen_batch.cli.plan_report.describe_periods import describe_period
from imagen_batch.cli.plan_report.describe_requests import (
    describe_names,
    describe_paces,
    describe_pixels,
    describe_price,
    describe_requests,
    describe_stages,
    describe_time,
    format_size,
)
from imagen_batch.inputs.changes import Changes
from imagen_batch.planning.pending import PendingTotals
from imagen_batch.planning.plan import RunPlan
from imagen_batch.sending.pacing.earlier_pace import EarlierPace
from imagen_batch.sending.period.room_left import PeriodRoom
from imagen_batch.text import one_line, plural, printable

_MAX_SHAPES = 20
_PROMPT_SHOWN = 400  # characters
_NONE: Mapping[str, EarlierPace] = {}


def plan_text(
    plan: RunPlan,
    pending: PendingTotals,
    changes: Changes | None = None,
    paces: Mapping[str, EarlierPace] = _NONE,
    periods: tuple[PeriodRoom, ...] = (),
) -> str:
    """Format the plan for people, in aligned lines."""
    settings = plan.settings
    models = ", ".join(f"{model} ({plural(count, 'image')})" for model, count in plan.images_by_model.most_common())
    lines = [
        ("rows", describe_selected(plan, plan.rows, plan.selected_rows)),
        *([("variants", matrix.describe(plan.rows))] if (matrix := plan.expansion.matrix) else []),
        *([("changes", describe_changes(changes))] if changes is not None else []),
        ("columns", describe_columns(plan)),
        *([("prompt", one_line(first, _PROMPT_SHOWN))] if (first := plan.totals.first_prompt) else []),
        ("images", describe_selected(plan, plan.samples, plan.selected_samples)),
        *([("references", describe_references(plan))] if plan.references.files.facts else []),
        ("requests", describe_requests(plan, pending)),
        *([("stages", describe_stages(pending))] if len(pending.stages) > 1 else []),
        ("models", models),
        ("pixels", describe_pixels(plan)),
        *(
            ("shape", f"{line} ({plural(count, 'image')})")
            for line, count in plan.totals.shapes.most_common(_MAX_SHAPES)
        ),
        ("price", describe_price(plan, pending)),
        *(("budget", describe_budget(room)) for room in find_budget_room(settings, pending)),
        *(("period", text) for text in _describe_periods(plan, pending, periods)),
        ("time", describe_time(plan, pending)),
        *([("pace", describe_paces(paces))] if paces and pending.requests else []),
        ("disk", f"up to about {format_size(plan.disk_bytes * pending.samples / max(1, plan.samples))}"),
        ("out", settings.folder),
        ("names", describe_names(plan, pending)),
    ]
    width = max(9, *(len(label) for label, _ in lines))
    return "\n".join(f"{label:<{width}} {printable(text)}" for label, text in lines) + "\nNothing was sent."


def _describe_periods(plan: RunPlan, pending: PendingTotals, periods: tuple[PeriodRoom, ...]) -> list[str]:
    return [
        describe_period(
            room,
            needed=pending.usd,
            cheapest=pending.cheapest,
            unpriced=pending.unpriced,
            provider=plan.settings.provider,
        )
        for room in periods
    ]
