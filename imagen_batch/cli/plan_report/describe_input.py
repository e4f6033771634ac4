"""Describes the rows of a plan: how many, what changed, which columns and images they use."""

from __future__ import annotations

from collections.abc import Sequence

from imagen_batch.cli.plan_report.facts import (
    misspelt_columns,
)
from imagen_batch.inputs.changes import Changes
from imagen_batch.planning.plan import RunPlan
from imagen_batch.text import format_bytes, plural

_MAX_COLUMNS_LISTED = 12


def describe_selected(plan: RunPlan, total: int, selected: int) -> str:
    """Format how many there are, and how many of them this run selects."""
    if total == selected:
        return f"{total}"
    reason = "the file names" if plan.only is not None else f"--limit {plan.settings.limit} selects"
    return f"{total} in the input; {reason} {selected} of them"


def describe_changes(changes: Changes) -> str:
    text = f"{changes.new} new, {changes.changed} changed, {changes.gone} gone"
    if changes.images:
        stay, leave = ("stays", "leaves") if changes.images == 1 else ("stay", "leave")
        text += f"; {plural(changes.images, 'image')} of earlier rows {stay} on disk, but {leave} the tables"
    return text


def describe_columns(plan: RunPlan) -> str:
    used = [header if header == role else f"{role} ({header})" for role, header in plan.file.roles.items()]
    misspelt = misspelt_columns(plan)
    own = [
        f"{name} (a typo of {misspelt[name]}?)" if name in misspelt else name
        for name in sorted(plan.file.user_columns, key=lambda name: name not in misspelt)
    ]
    return f"used: {_list_names(used)}" + (f"; your own: {_list_names(own)}" if own else "")


def _list_names(names: Sequence[str]) -> str:
    more = len(names) - _MAX_COLUMNS_LISTED
    return ", ".join(names[:_MAX_COLUMNS_LISTED]) + (f" and {more:,} more" if more > 0 else "")


def describe_references(plan: RunPlan) -> str:
    facts = plan.references.files.facts
    size = format_bytes(sum(each.bytes for each in facts.values()))
    return f"{plural(len(facts), 'image file')}, {size}"
