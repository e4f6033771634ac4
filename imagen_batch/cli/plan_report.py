"""Prints a plan as text and JSON: what would be sent, under which names, at what price, in what time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from imagen_batch.inputs.changes import Changes
from imagen_batch.inputs.take_input import count_changes, take_input
from imagen_batch.planning.pending import PendingTotals, count_pending, describe_held, describe_redone, first_requests
from imagen_batch.planning.plan import RunPlan
from imagen_batch.prompts.suspicious_columns import misspelt_role
from imagen_batch.providers.pixels import expected_pixels
from imagen_batch.review.decisions.of_run import review_of_run
from imagen_batch.sending.earlier_pace import EarlierPace, earlier_paces
from imagen_batch.settings import Settings
from imagen_batch.storage import check_location
from imagen_batch.text import format_bytes, json_text, one_line, plural, printable, span, usd

_NAMES_SHOWN = 3
_SIZES_SHOWN = 6
_MAX_COLUMNS_SHOWN = 12
_SHAPES_SHOWN = 20
_MAX_PROMPT_CHARS = 400
_NO_PACES: Mapping[str, EarlierPace] = {}


@dataclass(frozen=True)
class Preview:
    """What a run would do. `questions` are those that it would ask first."""

    plan: RunPlan
    pending: PendingTotals
    changes: Changes | None
    questions: tuple[str, ...]
    notes: tuple[str, ...] = ()  # about the review
    paces: Mapping[str, EarlierPace] = field(default_factory=dict)  # found by earlier runs, by model


@contextmanager
def open_preview(settings: Settings, *, env: Mapping[str, str] = os.environ) -> Iterator[Preview]:
    """Work out what a run with these settings would do. Sends and writes nothing."""
    today = datetime.now(UTC).date()
    questions: list[str] = []

    def agree(question: str) -> bool:
        questions.append(question)
        return True

    notes: list[str] = []
    decisions, _ = review_of_run(settings, notes.append)
    plan = take_input(settings, today=today, confirm=agree, decisions=decisions)
    try:
        check_location(plan.settings.folder)
        changes, paces = count_changes(plan, today=today), _earlier_paces(plan, env)
        yield Preview(plan, count_pending(plan), changes, tuple(questions), tuple(notes), paces)
    finally:
        plan.delete_spool()


def _earlier_paces(plan: RunPlan, env: Mapping[str, str]) -> dict[str, EarlierPace]:
    paces = earlier_paces(plan.settings, env)
    return {model: pace for model in plan.images_by_model if (pace := paces.of(model)) is not None}


def plan_text(
    plan: RunPlan,
    pending: PendingTotals,
    changes: Changes | None = None,
    paces: Mapping[str, EarlierPace] = _NO_PACES,
) -> str:
    """Format the plan for people, in aligned lines."""
    settings = plan.settings
    models = ", ".join(f"{model} ({plural(count, 'image')})" for model, count in plan.images_by_model.most_common())
    lines = [
        ("rows", _selected(plan, plan.rows, plan.selected_rows)),
        *([("variants", matrix.describe(plan.rows))] if (matrix := plan.expansion.matrix) else []),
        *([("changes", _describe_changes(changes))] if changes is not None else []),
        ("columns", _describe_columns(plan)),
        *([("prompt", one_line(first, _MAX_PROMPT_CHARS))] if (first := plan.totals.first_prompt) else []),
        ("images", _selected(plan, plan.samples, plan.selected_samples)),
        *([("references", _describe_references(plan))] if plan.references.files.facts else []),
        ("requests", _describe_requests(plan, pending)),
        *([("stages", _describe_stages(pending))] if len(pending.stages) > 1 else []),
        ("models", models),
        ("pixels", _describe_pixels(plan)),
        *(
            ("shape", f"{line} ({plural(count, 'image')})")
            for line, count in plan.totals.shapes.most_common(_SHAPES_SHOWN)
        ),
        ("price", _describe_price(plan, pending)),
        ("time", _describe_time(plan, pending)),
        *([("pace", _describe_paces(paces))] if paces and pending.requests else []),
        ("disk", f"up to about {_format_size(plan.disk_bytes * pending.samples / max(1, plan.samples))}"),
        ("out", settings.folder),
        ("names", _describe_names(plan, pending)),
    ]
    width = max(9, *(len(label) for label, _ in lines))
    return "\n".join(f"{label:<{width}} {printable(text)}" for label, text in lines) + "\nNothing was sent."


def plan_json(
    plan: RunPlan,
    pending: PendingTotals,
    changes: Changes | None = None,
    paces: Mapping[str, EarlierPace] = _NO_PACES,
) -> str:
    """Format the plan for programs, as one JSON object."""
    return json_text(plan_facts(plan, pending, changes, paces), option=orjson.OPT_INDENT_2)


def plan_facts(
    plan: RunPlan,
    pending: PendingTotals,
    changes: Changes | None = None,
    paces: Mapping[str, EarlierPace] = _NO_PACES,
) -> dict[str, Any]:
    """Collect the values of the JSON object."""
    minutes = _minutes(plan, pending)
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
            "misspelt": _misspelled_columns(plan),
        },
        "pixels": [asdict(shape) for shape in planned_shapes(plan)],
        "variants_of_each_row": matrix.variants if (matrix := plan.expansion.matrix) else 1,
        "shapes": dict(plan.totals.shapes),
        "first_prompt": plan.totals.first_prompt,
        "earlier_pace": {model: asdict(pace) for model, pace in paces.items()},
    }


@dataclass(frozen=True)
class PlannedShape:
    """Images of the same model, ratio and size. The pixels are None where they are not known beforehand."""

    model: str
    aspect_ratio: str | None
    image_size: str | None
    width: int | None
    height: int | None
    images: int


def planned_shapes(plan: RunPlan) -> list[PlannedShape]:
    """Return the shapes of the selected images, the most frequent first."""
    models, shapes = plan.models(), []
    for (name, ratio, size), images in plan.totals.images_by_shape.most_common():
        width, height = expected_pixels(models[name], ratio, size) or (None, None)
        shapes.append(PlannedShape(name, ratio, size, width, height, images))
    return shapes


def next_names(plan: RunPlan, pending: PendingTotals) -> list[str]:
    """Return the first few names that new images would get, without extension."""
    if pending.samples == plan.samples and not pending.redone:
        return plan.names
    return [request.names[0] for request in first_requests(plan, pending)][:_NAMES_SHOWN]


def _selected(plan: RunPlan, total: int, selected: int) -> str:
    """Format a total, and how many of it this run selects."""
    if total == selected:
        return f"{total}"
    reason = "the file names" if plan.only is not None else f"--limit {plan.settings.limit} selects"
    return f"{total} in the input; {reason} {selected} of them"


def _describe_changes(changes: Changes) -> str:
    text = f"{changes.new} new, {changes.changed} changed, {changes.gone} gone"
    if changes.images:
        stay, leave = ("stays", "leaves") if changes.images == 1 else ("stay", "leave")
        text += f"; {plural(changes.images, 'image')} of earlier rows {stay} on disk, but {leave} the tables"
    return text


def _describe_columns(plan: RunPlan) -> str:
    used = [header if header == role else f"{role} ({header})" for role, header in plan.file.roles.items()]
    misspelled = _misspelled_columns(plan)
    own_columns = [
        f"{name} (a typo of {misspelled[name]}?)" if name in misspelled else name
        for name in sorted(plan.file.user_columns, key=lambda name: name not in misspelled)
    ]
    return f"used: {_list_names(used)}" + (f"; your own: {_list_names(own_columns)}" if own_columns else "")


def _misspelled_columns(plan: RunPlan) -> dict[str, str]:
    roles = plan.file.roles
    return {name: known for name in plan.file.user_columns if (known := misspelt_role(name, roles))}


def _list_names(names: Sequence[str]) -> str:
    more = len(names) - _MAX_COLUMNS_SHOWN
    return ", ".join(names[:_MAX_COLUMNS_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _describe_requests(plan: RunPlan, pending: PendingTotals) -> str:
    if pending.requests == plan.requests and not pending.redone:
        return f"{plan.requests:,}"
    made = f"{pending.made:,} made{describe_held(pending)}"
    if not pending.requests:
        return f"none; {made}"
    redone = f" ({describe_redone(plan, pending)})" if pending.redone else ""
    return f"{pending.requests:,} to send, for {plural(pending.samples, 'image')}{redone}; {made}"


def _describe_references(plan: RunPlan) -> str:
    facts = plan.references.files.facts
    size = format_bytes(sum(file.bytes for file in facts.values()))
    return f"{plural(len(facts), 'image file')}, {size}"


def _describe_stages(pending: PendingTotals) -> str:
    """Describe the requests of each stage: a row that uses the image of another one comes after it."""
    texts = (f"{plural(stage.requests, 'request')}, at most ${stage.usd:.2f}" for stage in pending.stages)
    return f"{len(pending.stages)}, as rows use images of other rows: {'; then '.join(texts)}"


def _describe_names(plan: RunPlan, pending: PendingTotals) -> str:
    if not pending.samples:
        return "no new ones; images that were made keep their names"
    names = ", ".join(next_names(plan, pending))
    shown = f"{names}, ..." if pending.samples > _NAMES_SHOWN or pending.samples > len(plan.names) else names
    if not pending.made:
        return shown
    return f"{shown} (the {pending.made:,} that {'was' if pending.made == 1 else 'were'} made keep their names)"


def _describe_pixels(plan: RunPlan) -> str:
    """List the sizes in pixels, with the number of images and the ratio of each."""
    counts: Counter[str] = Counter()
    for shape in planned_shapes(plan):
        size = f"{shape.image_size or 'default size'}, {shape.aspect_ratio or 'shape chosen by the service'}"
        pixels = f"{shape.width} x {shape.height} ({shape.aspect_ratio})" if shape.width else size
        counts[pixels] += shape.images
    listed = [f"{pixels}: {plural(images, 'image')}" for pixels, images in counts.most_common(_SIZES_SHOWN)]
    more = len(counts) - len(listed)
    return "; ".join(listed) + (f"; and {plural(more, 'more shape')}" if more > 0 else "")


def _describe_price(plan: RunPlan, pending: PendingTotals) -> str:
    text = f"at most {usd(pending.usd)} if each request is sent once"
    if plan.settings.provider == "simulator":
        text += " (Google's price; the simulator is free)"
    if pending.unpriced:
        text += f"; no known price for {plural(pending.unpriced, 'image')}: use --price USD"
    return text


def _format_size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6)) if count else 0} MB"


def _describe_time(plan: RunPlan, pending: PendingTotals) -> str:
    minutes = _minutes(plan, pending)
    if not pending.requests:
        return "none"
    if minutes is None:
        return "depends on your quota"
    per_minute = plan.settings.requests_per_minute
    return f"at least {span(minutes * 60)} at {per_minute:g} {'request' if per_minute == 1 else 'requests'} a minute"


def _describe_paces(paces: Mapping[str, EarlierPace]) -> str:
    now = datetime.now(UTC).timestamp()
    if len(paces) == 1:
        return next(iter(paces.values())).describe(now)
    return "; ".join(f"{model} {pace.describe(now)}" for model, pace in paces.items())


def _minutes(plan: RunPlan, pending: PendingTotals) -> float | None:
    per_minute = plan.settings.requests_per_minute
    return None if per_minute is None else pending.requests / per_minute
