"""Yields the rows for which a run has to send something, and their requests."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import compress, groupby
from operator import itemgetter, not_
from typing import Final

from imagen_batch.choices import Retry
from imagen_batch.ledger.records import OrderedVersion
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.planning.compact_row_index import PendingRow, RowIndex, SampleHistory
from imagen_batch.planning.requests_and_shards import requests_for
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.records import ImageRequest, Outcome
from imagen_batch.settings import Settings

_ROWS_AT_ONCE: Final = 4096


def pending_rows(
    index: RowIndex, history: SampleHistory, *, settings: Settings, only: Container[int] | None = None
) -> Iterator[PendingRow]:
    """Yield the rows for which the run has to send something, in input order.

    `only` selects rows; samples of these rows that failed or were refused are sent again as well.
    """
    is_pending = pending_statuses(settings, selected=only is not None)
    of_orders = _pending_orders(settings, selected=only is not None)
    reviews = history.reviews
    for row, candidates in _samples_to_look_up(index, history, limit=settings.limit, only=only):
        base = index.row_key(row)
        numbers = [number for number in candidates if is_pending(history.status(base, number))]
        versions: tuple[OrderedVersion, ...] = ()
        if reviews:
            orders = [order for number in candidates if (order := reviews.order(base, number))]
            ordered = {order.number for order in orders}
            numbers = [each for each in numbers if each not in ordered and not reviews.is_settled(base, each)]
            numbers, versions = split_versions(base, numbers[: index.missing(row)], reviews)
            versions += tuple(each for each in orders if of_orders(history.status(each.key, each.number)))
        elif settings.accept is not None:
            numbers = numbers[: index.missing(row)]
        if numbers or versions:
            yield PendingRow(row, base, numbers, versions)


def _samples_to_look_up(
    index: RowIndex, history: SampleHistory, *, limit: int | None, only: Container[int] | None
) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield rows with the numbers of their samples, without those that are certainly made. Selects the rows."""
    if only is not None or history.reviews:
        for row in range(1, len(index) + 1):
            if only is None and limit is not None and row > limit:
                return
            if only is None or row in only:
                yield row, range(1, index.samples(row) + 1)
        return
    last = len(index) if limit is None else min(limit, len(index))
    for first in range(1, last + 1, _ROWS_AT_ONCE):
        rows = range(first, min(first + _ROWS_AT_ONCE, last + 1))
        yield from _without_images(index, history, rows)


def _without_images(
    index: RowIndex, history: SampleHistory, rows: Sequence[int]
) -> Iterator[tuple[int, Sequence[int]]]:
    """Yield those of consecutive rows that have samples without an image, with the numbers of these samples."""
    samples = index.samples_of_rows(rows[0], len(rows))
    of_samples = [row for row, count in zip(rows, samples, strict=True) for _ in range(count)]
    numbers = [number for count in samples for number in range(1, count + 1)]
    made = history.have_images(index.slots_of_samples(of_samples, numbers))
    if all(made):
        return
    unmade = compress(zip(of_samples, numbers, strict=True), map(not_, made))
    for row, group in groupby(unmade, key=itemgetter(0)):
        yield row, [number for _, number in group]


def pending_requests(rows: Iterable[PlannedRow], pending: Iterable[PendingRow]) -> Iterator[ImageRequest]:
    """Yield the requests for pending rows. `rows` is read only as far as the last of them."""
    planned_rows = iter(rows)
    for row, base, numbers, versions in pending:
        if not numbers:  # an order needs nothing of its row
            yield from _version_requests(row, versions)
            continue
        planned = next(planned for planned in planned_rows if planned.row.row == row)
        yield from requests_for(planned, base, numbers)
        if versions:
            yield from _version_requests(row, versions)


def _version_requests(row: int, versions: Iterable[OrderedVersion]) -> Iterator[ImageRequest]:
    from imagen_batch.planning.samples.further_versions import version_request  # noqa: PLC0415 - only after a review

    return (version_request(row, order) for order in versions)


def split_versions(
    base: str, numbers: Iterable[int], reviews: Reviews
) -> tuple[list[int], tuple[OrderedVersion, ...]]:
    """Separate the samples that a further version stands for: that version is sent again, and not the first one."""
    current = {number: reviews.current(base, number) for number in numbers}
    versions = tuple(version for version in current.values() if version is not None)
    return [number for number, version in current.items() if version is None], versions


def pending_statuses(settings: Settings, *, selected: bool) -> Callable[[Outcome | None], bool]:
    pending: set[str | None] = {None, "not_attempted", "skipped_budget", *settings.retry}
    if selected:
        pending |= {"failed", "filtered"}
    if settings.on_unknown == "resend":
        pending.add("unknown")
    return pending.__contains__


def _pending_orders(settings: Settings, *, selected: bool) -> Callable[[Outcome | None], bool]:
    """What has to be sent of the versions that were ordered: --redo also tries failed ones again."""
    retry: tuple[Retry, ...] = ("failed", *settings.retry) if settings.redo else settings.retry
    return pending_statuses(settings.model_copy(update={"retry": retry}), selected=selected)
