"""Leaves out rows that wait for the image of another row which the run does not make."""

from __future__ import annotations

from collections.abc import Iterator

from imagen_batch.planning.checking.plan_builder import is_selected
from imagen_batch.planning.compact_row_index import PendingRow, RowIndex, SampleHistory
from imagen_batch.planning.pending.history_views import MadeCounter
from imagen_batch.planning.pending.yield_pending_rows import pending_statuses
from imagen_batch.settings import Settings


def without_hopeless(
    rows: Iterator[PendingRow],
    index: RowIndex,
    known: SampleHistory,
    *,
    settings: Settings,
    counter: MadeCounter,
    only: frozenset[int] | None,
) -> Iterator[PendingRow]:
    """Leave out rows that wait for an image which this run does not make. Counts their samples."""
    images = index.images
    if images is None or not images.waiting:
        yield from rows
        return
    is_pending = pending_statuses(settings, selected=only is not None)
    promising: dict[int, bool] = {}

    def is_promising(row: int) -> bool:
        if row not in promising:
            base, numbers = index.row_key(row), range(1, index.samples(row) + 1)
            statuses = [known.status(base, number) for number in numbers]
            selected = is_selected(row, limit=settings.limit, only=only)
            sent = selected and any(map(is_pending, statuses))
            waits = row in images.waiting
            promising[row] = (sent and images.promising(row, is_promising)) if waits else (sent or "ok" in statuses)
        return promising[row]

    for row in images.order:  # in an order in which the images of other rows come first: no deep recursion
        is_promising(row)
    for pending in rows:
        if pending.row not in images.waiting or is_promising(pending.row):
            yield pending
        else:
            counter.waiting += len(pending.numbers)
