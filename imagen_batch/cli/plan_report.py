"""A plan as text and JSON: what would be sent, under which names, at what price, in what time."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from imagen_batch.inputs.changes import Changes
from imagen_batch.planning.pending import PendingTotals, _held, first_requests
from imagen_batch.planning.plan import RunPlan
from imagen_batch.text import json_text, plural, printable, span

_NAMES = 3


def plan_text(plan: RunPlan, left: PendingTotals, changes: Changes | None = None) -> str:
    """The plan for people, aligned lines."""
    settings = plan.settings
    models = ", ".join(f"{model} ({plural(count, 'picture')})" for model, count in plan.pictures_of.most_common())
    lines = [
        ("rows", _part(plan, plan.rows, plan.wanted_rows)),
        *([("changes", _changes(changes))] if changes is not None else []),
        ("pictures", _part(plan, plan.samples, plan.wanted_samples)),
        ("requests", _requests(plan, left)),
        ("models", models),
        ("price", _price(plan, left)),
        ("time", _time(plan, left)),
        ("disk", f"up to about {_size(plan.disk_bytes * left.samples / max(1, plan.samples))}"),
        ("out", settings.place),
        ("names", _names(plan, left)),
    ]
    return "\n".join(f"{label:<9} {printable(text)}" for label, text in lines) + "\nNothing was sent."


def plan_json(plan: RunPlan, left: PendingTotals, changes: Changes | None = None) -> str:
    """The plan for programs, one JSON object."""
    known = left.unpriced == 0
    minutes = _minutes(plan, left)
    return json_text(
        {
            "schema_version": 1,
            "state": "planned",
            "out": plan.settings.place,
            "rows": plan.rows,
            "samples": plan.samples,
            "requests": plan.requests,
            "requests_left": left.requests,
            "samples_left": left.samples,
            "models": dict(plan.pictures_of),
            "worst_case_usd": round(left.usd, 6) if known else None,
            "unpriced": left.unpriced,
            "disk_bytes": plan.disk_bytes,
            "seconds_at_given_rate": None if minutes is None else minutes * 60,
            "names": next_names(plan, left),
            "warnings": plan.warnings,
            "rows_asked_for": plan.wanted_rows,
            "samples_asked_for": plan.wanted_samples,
            "changes": None if changes is None else asdict(changes),
            "samples_made": left.made,
            "samples_held": left.held,
        },
        option=orjson.OPT_INDENT_2,
    )


def next_names(plan: RunPlan, left: PendingTotals) -> list[str]:
    """The first few names that images would get, without extension; those that were made keep theirs."""
    if left.samples == plan.samples:
        return plan.names
    return [request.names[0] for request in first_requests(plan, left)][:_NAMES]


def _part(plan: RunPlan, whole: int, wanted: int) -> str:
    """How many of the input, and how many of them this run asks for."""
    if whole == wanted:
        return f"{whole}"
    why = "the file names" if plan.only is not None else f"--limit {plan.settings.limit} asks for"
    return f"{whole} in the input; {why} {wanted} of them"


def _changes(changes: Changes) -> str:
    """Against the input that the folder has."""
    said = f"{changes.new} new, {changes.changed} changed, {changes.gone} gone"
    if changes.images:
        said += f"; {plural(changes.images, 'image')} of earlier rows stay on disk, but leave the tables"
    return said


def _requests(plan: RunPlan, left: PendingTotals) -> str:
    if left.requests == plan.requests:
        return f"{plan.requests:,}"
    if not left.requests:
        return f"none; {left.made:,} made{_held(left)}"
    return f"{left.requests:,} to send, for {plural(left.samples, 'picture')}; {left.made:,} made{_held(left)}"


def _names(plan: RunPlan, left: PendingTotals) -> str:
    if not left.samples:
        return "none to give; pictures that were made keep their names"
    names = ", ".join(next_names(plan, left))
    shown = f"{names}, ..." if left.samples > _NAMES or left.samples > len(plan.names) else names
    if not left.made:
        return shown
    return f"{shown} (the {left.made:,} that {'was' if left.made == 1 else 'were'} made keep their names)"


def _price(plan: RunPlan, left: PendingTotals) -> str:
    said = f"at most ${left.usd:.2f} if each request is sent once"
    if plan.settings.provider == "simulator":
        said += " (what Google would ask; the simulator asks nothing)"
    if left.unpriced:
        said += f"; no known price for {plural(left.unpriced, 'picture')}: give --price USD"
    return said


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6)) if count else 0} MB"


def _time(plan: RunPlan, left: PendingTotals) -> str:
    minutes = _minutes(plan, left)
    if not left.requests:
        return "none"
    if minutes is None:
        return "depends on your quota"
    per_minute = plan.settings.requests_per_minute
    return f"at least {span(minutes * 60)} at {per_minute:g} {'request' if per_minute == 1 else 'requests'} a minute"


def _minutes(plan: RunPlan, left: PendingTotals) -> float | None:
    per_minute = plan.settings.requests_per_minute
    return None if per_minute is None else left.requests / per_minute
