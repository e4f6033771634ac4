"""What of a run is still to be made, going by what its folder holds?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imagen_batch.account import PastOnDisk
from imagen_batch.examine import Examined
from imagen_batch.history import History, read_history
from imagen_batch.identity import Identities
from imagen_batch.plan import still_to_make
from imagen_batch.records import ImageRequest
from imagen_batch.storage import LEDGER, open_storage


@dataclass(frozen=True, slots=True)
class Remaining:
    """Requests that a run would send now, and their worst-case price in USD."""

    requests: int
    samples: int
    usd: float
    unpriced: int  # pictures without a known price


def remaining(examined: Examined, past: History | None = None) -> Remaining:
    """Count what is left. Without a `past` the ledger of the run's folder is read, if there is one."""
    past = past or read_history(open_storage(examined.settings.place).logs(LEDGER))
    requests = samples = unpriced = 0
    usd = 0.0
    for request in remaining_requests(examined, past):
        requests += 1
        samples += request.samples
        usd += request.price or 0.0
        unpriced += request.samples if request.price is None else 0
    return Remaining(requests, samples, usd, unpriced)


def remaining_requests(examined: Examined, past: History) -> Iterator[ImageRequest]:
    """What is still to be sent, in input order."""
    settings = examined.settings
    again = {"failed", "missing"}.intersection(settings.retry)
    seen = PastOnDisk(past, open_storage(settings.place)) if again else past
    identities = Identities(settings.provider)
    return still_to_make(examined.orders(), seen, settings=settings, identities=identities)
