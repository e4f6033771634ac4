"""Keeps approved images for rows whose text was edited: such an image is locked and is not made again.

An edited row is recognized by its id, or without one by its position between the rows that stayed the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from imagen_batch.inputs.changes import find_gaps
from imagen_batch.inputs.image_moves import facts_of
from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.rows import PlannedRow
from imagen_batch.records import Move


def find_approved_moves(before: RunPlan, history: History, after: RunPlan) -> tuple[Move, ...]:
    """Return the moves of approved images from rows of `before` to the same rows, edited, of `after`."""
    if not history.reviews:
        return ()
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
    taken_old, taken_new = {old for old, _ in by_id}, {new for _, new in by_id}
    named_old, named_new = set(old_ids.values()), set(new_ids.values())
    by_position = {
        (old, new)
        for old, new in _pair_by_position(before, after)
        if old not in taken_old | named_old and new not in taken_new | named_new
    }
    pairs = (pair for pair in by_id | by_position if before.index.row_key(pair[0]) not in kept)
    return sorted(pair for pair in pairs if after.index.row_key(pair[1]) not in kept)


def _pair_by_position(before: RunPlan, after: RunPlan) -> Iterator[tuple[int, int]]:
    """Pair the rows of each gap between common rows, where both inputs have equally many there."""
    for old, new in find_gaps([base for base, _ in before.index], [base for base, _ in after.index]):
        if len(old) == len(new):
            yield from zip((at + 1 for at in old), (at + 1 for at in new), strict=True)


def _unique_ids(plan: RunPlan) -> dict[str, int]:
    rows = [(planned.row.id, planned.row.row) for planned in plan.planned_rows() if planned.row.id]
    counts = Counter(name for name, _ in rows)
    return {name: row for name, row in rows if name is not None and counts[name] == 1}


def _select_rows(plan: RunPlan, rows: set[int]) -> dict[int, PlannedRow]:
    return {planned.row.row: planned for planned in plan.planned_rows() if planned.row.row in rows}
