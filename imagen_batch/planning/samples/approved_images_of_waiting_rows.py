"""Keeps approved images of rows that wait for an image of another row until that image exists.

Such a row has a placeholder key. An approved image of it, which was made before the other row was edited, is recorded
under that key, and moves to the row's key as soon as there is one.
"""

from __future__ import annotations

from collections.abc import Iterator

from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Move


def moves_from_placeholders(plan: RunPlan, history: History) -> tuple[Move, ...]:
    """Return the moves of approved images to keys that rows have got. The plan follows the history."""
    return tuple(_moves(plan, history)) if history.reviews and plan.index.images is not None else ()


def _moves(plan: RunPlan, history: History) -> Iterator[Move]:
    images = plan.index.images
    assert images is not None
    for row in images.resolved:
        base, placeholder = plan.index.row_key(row), images.dependents[row].placeholder
        numbers = tuple(
            number
            for number in range(1, plan.index.samples(row) + 1)
            if history.reviews.is_approved(placeholder, number) and history.status(base, number) is None
        )
        if numbers:
            yield Move(base, placeholder, numbers)
