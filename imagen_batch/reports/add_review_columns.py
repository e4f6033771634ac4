"""Adds to a manifest row its version, the decision about it, and how a redo that brought no image ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from imagen_batch.ledger.history import History
from imagen_batch.ledger.records import OrderedVersion
from imagen_batch.records import ManifestRow, Outcome, SampleResult
from imagen_batch.storage import Storage

REDO: Final = "redo_"
"""The error kind of an image whose redo brought no image begins with this; the status of the redo follows."""

APPROVED_MISSING: Final = "approved_missing"
"""The error kind of an approved image whose file is missing."""

_WORDS: Final = {"approve": "approved", "reject": "rejected", "redo": "redo"}
_ENDINGS: Final[dict[Outcome, str]] = {
    "filtered": "was refused",
    "failed": "failed",
    "unknown": "was sent without a reply and may have been charged",
    "not_attempted": "has not been sent yet",
}


def with_review(entry: ManifestRow, base: str, history: History, storage: Storage) -> ManifestRow:
    """Return the row with the decision about its sample, its version, and the state of a redo."""
    number, reviews = entry.sample.number, history.reviews
    version = reviews.current(base, number)
    decided = reviews.current_decision(base, number)
    order = reviews.order(base, number)
    word = _WORDS.get((decided.decision if decided else None) or "")
    sample = entry.sample
    if word == "rejected":
        sample = _without_removed_file(sample, storage)
    elif sample.status == "ok" and order is not None:
        sample = _with_open_redo(sample, order, history)
    return replace(entry, sample=sample, version=1 if version is None else version.version, review=word)


def as_locked(sample: SampleResult, review: str | None) -> SampleResult:
    """Return the sample with an error kind of its own if it is an approved image whose file is missing.

    Such an image is not made again.
    """
    if review != "approved" or sample.error_kind != "file_missing":
        return sample
    return replace(sample, error_kind=APPROVED_MISSING)


def redo_status(sample: SampleResult) -> Outcome | None:
    """Return the outcome of a redo that brought no image; None for a sample without such a redo."""
    kind = sample.error_kind or ""
    status = kind.removeprefix(REDO)
    return next((each for each in _ENDINGS if each == status), None) if kind.startswith(REDO) else None


def _without_removed_file(sample: SampleResult, storage: Storage) -> SampleResult:
    """Return the sample without its file if that was deleted: for a rejected image this is not a failure."""
    if sample.file is None or storage.size(sample.file) is not None:
        return sample
    return replace(sample, file=None, error="rejected, and its file was deleted", error_kind="rejected_deleted")


def _with_open_redo(sample: SampleResult, order: OrderedVersion, history: History) -> SampleResult:
    status = history.recorded_status(order.key, order.number) or "not_attempted"
    details = history.recorded_details(order.key, order.number)
    ending = _ENDINGS.get(status, "has not been sent yet")
    reason = (details[0].reason or details[0].error) if details else None
    error = f"version {order.version} {ending}; the earlier image stays" + (f": {reason}" if reason else "")
    return replace(sample, error=error, error_kind=f"{REDO}{status}")
