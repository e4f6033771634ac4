"""Finds what a plan still has to send: by the ledger, by missing files, or by what a repair makes again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import compress, islice

from imagen_batch.images.file_state import FILES_PER_LOOKUP, missing_files
from imagen_batch.ledger.history import History
from imagen_batch.planning.compact_row_index import PendingRow, RowIndex
from imagen_batch.planning.pending.history_views import AnsweredSince, MadeCounter, WithoutMissingFiles
from imagen_batch.planning.pending.skip_waiting_rows import without_hopeless
from imagen_batch.planning.pending.yield_pending_rows import pending_requests, pending_rows, split_versions
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import ImageRequest
from imagen_batch.settings import Settings
from imagen_batch.storage import Storage, open_storage


def remaining_requests(
    plan: RunPlan, history: History, *, answered_since: float | None = None
) -> Iterator[ImageRequest]:
    """Yield what is still to be sent, in input order. The input is read only as far as the last pending row.

    Samples with any result since `answered_since` (seconds since the epoch) are left out: they had their turn.
    With a time limit, samples that were attempted before come after all others: those that keep failing at the
    beginning of the file do not use up the time of the others.
    """
    known = history if answered_since is None else AnsweredSince(history, answered_since)
    if not plan.settings.has_time_limit:
        yield from pending_requests(plan.planned_rows(), pending_rows_of(plan, known, plan.settings))
        return
    for attempted in (False, True):
        rows = _by_attempts(pending_rows_of(plan, known, plan.settings), history, attempted=attempted)
        yield from pending_requests(plan.planned_rows(), rows)


def _by_attempts(rows: Iterable[PendingRow], history: History, *, attempted: bool) -> Iterator[PendingRow]:
    """Keep the samples that were attempted before, or those that were not."""
    for row, base, numbers, versions in rows:
        kept = [number for number in numbers if _is_attempted(history, base, number) == attempted]
        kept_versions = tuple(each for each in versions if _is_attempted(history, each.key, each.number) == attempted)
        if kept or kept_versions:
            yield PendingRow(row, base, kept, kept_versions)


def _is_attempted(history: History, key: str, number: int) -> bool:
    return history.recorded_status(key, number) is not None or history.recorded_failure(key, number)


def pending_rows_of(
    plan: RunPlan, history: History | AnsweredSince, settings: Settings, *, counter: MadeCounter | None = None
) -> Iterator[PendingRow]:
    only = plan.only
    if plan.samples_to_remake is not None:
        if counter is not None:
            _count_others(plan.index, plan.samples_to_remake, counter)
        return _still_to_remake(plan.samples_to_remake, history)
    recorded = history.history if isinstance(history, AnsweredSince) else history
    if isinstance(recorded, History):
        plan.follow(recorded)
    known: History | AnsweredSince | WithoutMissingFiles = history
    if isinstance(history, History) and (only is not None or {"failed", "missing"}.intersection(settings.retry)):
        storage = open_storage(settings.folder)
        known = WithoutMissingFiles(history, set(_samples_without_file(plan.index, history, storage)))
    if counter is None:
        rows = pending_rows(plan.index, known, settings=settings, only=only)
        return (pending for pending in rows if plan.index.waiting(pending.row) is None)
    counter.history = known
    rows = pending_rows(plan.index, counter, settings=settings, only=only)
    return without_hopeless(rows, plan.index, known, settings=settings, counter=counter, only=only)


def _still_to_remake(remakes: Iterable[PendingRow], history: History | AnsweredSince) -> Iterator[PendingRow]:
    """Yield what a repair makes again, whatever the ledger says of it, each sample once."""
    for row, base, numbers, _ in remakes:
        if isinstance(history, AnsweredSince):
            numbers = [number for number in numbers if not history.is_answered(base, number)]  # noqa: PLW2901
        if numbers:
            yield PendingRow(row, base, *split_versions(base, numbers, history.reviews))


def _count_others(index: RowIndex, remakes: Iterable[PendingRow], counter: MadeCounter) -> None:
    """Count every sample that a repair does not make again."""
    again = {(pending.row, number) for pending in remakes for number in pending.numbers}
    for row, (base, samples) in enumerate(index, 1):
        for number in range(1, samples + 1):
            if (row, number) not in again:
                counter.status(base, number)


def _samples_without_file(index: RowIndex, history: History, storage: Storage) -> Iterator[tuple[str, int]]:
    """Yield row key and number of the samples whose images were made and whose files are missing."""
    made = (
        (base, number, details[0])
        for base, samples in index
        for number in range(1, samples + 1)
        if not history.reviews.is_settled(base, number)
        and history.status(base, number) == "ok"
        and (details := history.details(base, number))
    )
    while batch := list(islice(made, FILES_PER_LOOKUP)):
        missing = missing_files([sample for _, _, sample in batch], storage)
        yield from ((base, number) for base, number, _ in compress(batch, missing))
