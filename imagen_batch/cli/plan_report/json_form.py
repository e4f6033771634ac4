"""Formats a plan as JSON, for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from imagen_batch.cli.plan_report.describe_budgets import budget_facts, find_budget_room
from imagen_batch.cli.plan_report.describe_periods import period_facts
from imagen_batch.cli.plan_report.facts import (
    minutes_needed,
    misspelt_columns,
    next_names,
    planned_shapes,
)
from imagen_batch.inputs.changes import Changes
from imagen_batch.planning.pending import PendingTotals
from imagen_batch.planning.plan import RunPlan
from imagen_batch.sending.pacing.earlier_pace import EarlierPace
from imagen_batch.sending.period.room_left import PeriodRoom
from imagen_batch.text import json_text

_NONE: Mapping[str, EarlierPace] = {}


def plan_json(
    plan: RunPlan,
    pending: PendingTotals,
    changes: Changes | None = None,
    paces: Mapping[str, EarlierPace] = _NONE,
    periods: tuple[PeriodRoom, ...] = (),
) -> str:
    """Format the plan for programs, as one JSON object."""
    return json_text(plan_facts(plan, pending, changes, paces, periods), option=orjson.OPT_INDENT_2)


def plan_facts(
    plan: RunPlan,
    pending: PendingTotals,
    changes: Changes | None = None,
    paces: Mapping[str, EarlierPace] = _NONE,
    periods: tuple[PeriodRoom, ...] = (),
) -> dict[str, Any]:
    """Collect the values of the JSON object."""
    minutes = minutes_needed(plan, pending)
    return {
        "schema_version": 1,
        "state": "planned",
        "out": plan.settings.folder,
        "rows": plan.rows,
        "samples": plan.samples,
        "requests": plan.requests,
        "requests_left": pending.requests,
        "samples_left": pending.samples,
        "models": dict(plan.images_by_model),
        "worst_case_usd": None if pending.unpriced else round(pending.usd, 6),
        "unpriced": pending.unpriced,
        "disk_bytes": plan.disk_bytes,
        "seconds_at_given_rate": None if minutes is None else minutes * 60,
        "names": next_names(plan, pending),
        "warnings": plan.warnings,
        "rows_asked_for": plan.selected_rows,
        "samples_asked_for": plan.selected_samples,
        "changes": None if changes is None else asdict(changes),
        "samples_made": pending.made,
        "samples_held": pending.held,
        "samples_redone": pending.redone,
        "samples_waiting": pending.waiting,
        "references": {
            "files": len(plan.references.files.facts),
            "bytes": sum(facts.bytes for facts in plan.references.files.facts.values()),
        },
        "stages": [asdict(stage) for stage in pending.stages],
        "columns": {
            "used": dict(plan.file.roles),
            "own": list(plan.file.user_columns),
            "misspelt": misspelt_columns(plan),
        },
        "pixels": [asdict(shape) for shape in planned_shapes(plan)],
        "variants_of_each_row": matrix.variants if (matrix := plan.expansion.matrix) else 1,
        "shapes": dict(plan.totals.shapes),
        "first_prompt": plan.totals.first_prompt,
        "periods": [period_facts(room, needed=pending.usd, unpriced=pending.unpriced) for room in periods],
        "budgets": [budget_facts(room) for room in find_budget_room(plan.settings, pending)],
        "earlier_pace": {model: asdict(pace) for model, pace in paces.items()},
    }
