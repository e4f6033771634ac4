"""Computes how many samples of a row to request, so that a run ends with a number of usable images (--accept).

The number follows from the ledger alone: each sample that was refused, failed or rejected is replaced by one more, up
to a bound. So every command that reads the folder computes the same number.
"""

from __future__ import annotations

from imagen_batch.ledger.history import History
from imagen_batch.settings import Settings

_MAX_PER_WANTED = 2  # samples to request for each image that is wanted


def samples_to_request(base: str, wanted: int, history: History, settings: Settings) -> int:
    """Return the number of samples of a row to request, so that `wanted` of them can be usable."""
    most = max(wanted, settings.max_tries or _MAX_PER_WANTED * wanted)
    # A sample that was requested once stays, even if another sample turned out usable later.
    samples = max((n for n in range(wanted + 1, most + 1) if history.status(base, n) is not None), default=wanted)
    while True:
        lost = sum(not _may_be_usable(base, number, history) for number in range(1, samples + 1))
        needed = min(most, wanted + lost)
        if needed <= samples:
            return samples
        if _is_bad_request(base, samples, history):
            return samples
        samples = needed


def usable_samples(base: str, samples: int, history: History) -> int:
    """Return how many samples of a row have an image that is not rejected."""
    reviews = history.reviews
    return sum(
        history.status(base, number) == "ok" and not reviews.is_rejected(base, number)
        for number in range(1, samples + 1)
    )


def _may_be_usable(base: str, number: int, history: History) -> bool:
    """Return whether a sample has a usable image, or may still get one."""
    if history.reviews.is_rejected(base, number):
        return False
    status = history.status(base, number)
    if status not in {"filtered", "failed"}:
        return True
    return history.reviews.order(base, number) is not None


def _is_bad_request(base: str, samples: int, history: History) -> bool:
    """Return whether the service refused the request itself as invalid: more of the same would be refused as well."""
    details = history.details(base, samples) if history.status(base, samples) == "failed" else None
    return details is not None and details[0].error_kind == "bad_request"
