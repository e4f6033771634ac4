"""Counts what a run would send."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.records import kept_record, review_record, versions_record
from imagen_batch.planning.pending.find_pending import pending_rows_of
from imagen_batch.planning.pending.history_views import MadeCounter
from imagen_batch.planning.pending.totals import Accumulator, PendingTotals
from imagen_batch.planning.pending.yield_pending_rows import pending_requests
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.samples.approved_images_of_waiting_rows import moves_from_placeholders
from imagen_batch.records import ImageRequest
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, explain_storage_errors, open_storage


def count_pending(
    plan: RunPlan, history: History | None = None, *, settings: Settings | None = None
) -> PendingTotals:
    """Count what is pending. Without a `history` the ledger of the run's folder is read, if there is one.

    `settings` are those of a run that would continue; by default those of `plan`.
    """
    history = history or _read_history(plan)
    plan.follow(history)
    sums, counter = Accumulator(plan.index), MadeCounter(history)
    for pending in pending_rows_of(plan, history, settings or plan.settings, counter=counter):
        sums.add(pending)
    totals = sums.totals(counter, selected=_selected_samples(plan))
    provider = plan.settings.provider
    return replace(
        totals,
        spent=history.cost_bounds(provider).upper_bound,
        images_made=history.max_images_made(provider),
    )


def first_requests(plan: RunPlan, pending: PendingTotals) -> Iterator[ImageRequest]:
    """Yield the first requests that would be sent. The input is read only that far."""
    return pending_requests(plan.planned_rows(), pending.first)


def _selected_samples(plan: RunPlan) -> int:
    if plan.settings.accept is None:
        return plan.selected_samples
    return sum(samples for row, (_, samples) in enumerate(plan.index, 1) if plan.selects(row))


def _read_history(plan: RunPlan) -> History:
    location = plan.settings.folder
    with explain_storage_errors(location, to="be read"):
        history = read_history(open_storage(location).logs(LEDGER))
    if plan.decisions:  # the run will record these before anything else
        history.fold(review_record(plan.decisions), position=0)
    if plan.moves:
        history.fold_unwritten(kept_record(move.as_record() for move in plan.moves))
    plan.follow(history)  # marks are about the keys that rows have in the ledger
    if moves := moves_from_placeholders(plan, history):
        history.fold_unwritten(kept_record(move.as_record() for move in moves))
    if history.reviews:
        from imagen_batch.planning.samples.further_versions import order_versions  # noqa: PLC0415 - only after a review

        if orders := order_versions(plan, history):
            history.fold(versions_record(orders), position=0)
    return history
