"""Keeps approved images for rows whose text was edited: such an image is locked and is not made again.

An edited row is recognized by its id, or without one by its position between the rows that stayed the same.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Final

from imagen_batch.inputs.reference_facts import are_as_recorded
from imagen_batch.inputs.stored_input_and_settings import (
    file_sha256,
    holds_run,
    is_stored_input,
    load_origin,
    load_settings_snapshot,
    read_run_record,
    reload_plan,
)
from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import review_record
from imagen_batch.planning.checking.open_and_expand_prompt_file import read_expansion
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.records import Move
from imagen_batch.storage import open_storage
from imagen_batch.text import plural

_DECIDING: Final = (
    *("model", "dialect", "models", "parameters", "references", "shape", "shapes", "trim", "bleed"),
    *("aspect_ratio", "image_size", "person_generation", "negative_prompt", "seed"),
)
"""Settings that are part of what every row asks for."""


def with_approved_images(plan: RunPlan, *, today: date) -> RunPlan:
    """Return the plan with the moves that keep approved images for rows that request something else now."""
    location = plan.settings.folder
    if plan.moves or not holds_run(location):  # a failures.csv keeps all images of the rows that it edits
        return plan
    if not _requests_something_else(plan):
        return plan
    from imagen_batch.inputs.patch_or_extend_input import load_history  # noqa: PLC0415 - only for an edited input
    from imagen_batch.reports.next_steps import make_absolute  # noqa: PLC0415

    history = load_history(location)
    history.fold(review_record(plan.decisions), position=0)
    if not history.reviews:
        return plan
    basis = read_run_record(open_storage(location))
    before = reload_plan(location, today=today)
    before.follow(history)
    plan.follow(history)
    moves = find_approved_moves(before, history, plan)
    if not moves:
        return plan
    images = plural(len(moves), "approved image")
    verb, them = ("stays", "it") if len(moves) == 1 else ("stay", "them")
    mark = shlex.join(["imagen-batch", "review", "redo", make_absolute(location)])
    notice = f"{images} of edited rows {verb} as approved. To make {them} from the new text: {mark} ROW:SAMPLE"
    return replace(plan, moves=moves, basis=basis, notices=(*plan.notices, notice))


def has_other_expansion(plan: RunPlan) -> bool:
    """Return whether the folder's run has another template, other styles, characters or variants."""
    stored = read_expansion(load_settings_snapshot(plan.settings.folder))
    given = plan.expansion
    return (stored.stored_files(), stored.matrix_options) != (given.stored_files(), given.matrix_options)


def _requests_something_else(plan: RunPlan) -> bool:
    """Return whether any row may request something else than in the folder's last run."""
    location, settings = plan.settings.folder, plan.settings
    origin = load_origin(location)
    same_text = is_stored_input(settings) or (
        origin is not None and plan.source is not None and origin.sha256 == file_sha256(plan.source)
    )
    if not same_text or not are_as_recorded(plan.references, open_storage(location)):
        return True
    stored = load_settings_snapshot(location)
    if any(getattr(stored, name) != getattr(settings, name) for name in _DECIDING):
        return True
    return has_other_expansion(plan)


def find_approved_moves(before: RunPlan, history: History, after: RunPlan) -> tuple[Move, ...]:
    """Return the moves of approved images from rows of `before` to the same rows, edited, of `after`."""
    if not history.reviews:
        return ()
    from imagen_batch.inputs.image_owners import facts_of  # noqa: PLC0415 - only for an edited input

    edited = _edited_rows(before, after)
    old_rows = _select_rows(before, {old for old, _ in edited})
    moves: list[Move] = []
    for old, new in edited:
        source, base = before.index.row_key(old), after.index.row_key(new)
        numbers = [
            number
            for number in range(1, max(before.index.samples(old), after.index.samples(new)) + 1)
            if history.reviews.is_approved(source, number) and history.status(source, number) == "ok"
        ]
        for number in numbers:
            kept = history.kept_first(source, number)
            moves.append(Move(base, source, (number,), kept or facts_of(old_rows[old])))
    return tuple(moves)


def _edited_rows(before: RunPlan, after: RunPlan) -> list[tuple[int, int]]:
    """Row numbers in both inputs of each row that was edited."""
    kept = {base for base, _ in before.index} & {base for base, _ in after.index}
    old_ids, new_ids = _unique_ids(before), _unique_ids(after)
    by_id = {(old_ids[name], new_ids[name]) for name in old_ids.keys() & new_ids.keys()}
    by_id = {(old, new) for old, new in by_id if before.index.row_key(old) != after.index.row_key(new)}
    named_old, named_new = set(old_ids.values()), set(new_ids.values())
    by_position = {
        (old, new) for old, new in _pair_by_position(before, after) if old not in named_old and new not in named_new
    }
    pairs = (pair for pair in by_id | by_position if before.index.row_key(pair[0]) not in kept)
    return sorted(pair for pair in pairs if after.index.row_key(pair[1]) not in kept)


def _pair_by_position(before: RunPlan, after: RunPlan) -> Iterator[tuple[int, int]]:
    """Pair the rows of each gap between common rows, where both inputs have equally many there."""
    from imagen_batch.inputs.changes import find_gaps  # noqa: PLC0415 - only for an edited input

    for old, new in find_gaps([base for base, _ in before.index], [base for base, _ in after.index]):
        if len(old) == len(new):
            yield from zip((at + 1 for at in old), (at + 1 for at in new), strict=True)


def _unique_ids(plan: RunPlan) -> dict[str, int]:
    rows = [(planned.row.id, planned.row.row) for planned in plan.planned_rows() if planned.row.id]
    counts = Counter(name for name, _ in rows)
    return {name: row for name, row in rows if name is not None and counts[name] == 1}


def _select_rows(plan: RunPlan, rows: set[int]) -> dict[int, PlannedRow]:
    return {planned.row.row: planned for planned in plan.planned_rows() if planned.row.row in rows}
