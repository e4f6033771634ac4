"""What of a run is still to be made, going by what its folder holds?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import compress, islice

from imagen_batch.account import LOOKED_FOR_TOGETHER, are_gone
from imagen_batch.asked import Asked
from imagen_batch.examine import Examined
from imagen_batch.history import History, read_history
from imagen_batch.plan import Lack, lacking, request_count, still_to_make
from imagen_batch.records import ImageRequest, Outcome
from imagen_batch.storage import LEDGER, Storage, in_reach, open_storage


@dataclass(frozen=True, slots=True)
class Remaining:
    """Requests that a run would send now, and their worst-case price in USD."""

    requests: int
    samples: int
    usd: float
    unpriced: int  # pictures without a known price


def remaining(examined: Examined, past: History | None = None) -> Remaining:
    """Count what is left. Without a `past` the ledger of the run's folder is read, if there is one."""
    past = past or _past(examined.settings.place)
    asked = examined.asked
    requests = samples = unpriced = 0
    usd = 0.0
    for row, _, numbers in _lacks(examined, past):
        requests += request_count(numbers, asked.per_request(row))
        samples += len(numbers)
        price = asked.price(row)
        if price is None:
            unpriced += len(numbers)
        else:
            usd += price * len(numbers)
    return Remaining(requests, samples, usd, unpriced)


def _past(place: str) -> History:
    with in_reach(place, to="be read"):
        return read_history(open_storage(place).logs(LEDGER))


def remaining_requests(
    examined: Examined, past: History, *, answered_since: float | None = None
) -> Iterator[ImageRequest]:
    """What is still to be sent, in input order. The input is read only as far as something lacks.

    What got its answer since a moment, in seconds since the epoch, has had its turn, whatever that was.
    """
    seen = past if answered_since is None else _Answered(past, answered_since)
    return still_to_make(examined.orders(), _lacks(examined, seen))


def _lacks(examined: Examined, past: History | _Answered) -> Iterator[Lack]:
    settings = examined.settings
    if examined.lost is not None:
        return _still_lost(examined.lost, past)
    if isinstance(past, History) and {"failed", "missing"}.intersection(settings.retry):
        gone = set(_gone(examined.asked, past, open_storage(settings.place)))
        return lacking(examined.asked, _Without(past, gone), settings=settings)
    return lacking(examined.asked, past, settings=settings)


def _still_lost(lost: Iterable[Lack], past: History | _Answered) -> Iterator[Lack]:
    """What a repair makes again, whatever the ledger says of it; once a sample had its turn it is done with."""
    for row, base, numbers in lost:
        left = [number for number in numbers if not (isinstance(past, _Answered) and past.is_answered(base, number))]
        if left:
            yield Lack(row, base, left)


def _gone(asked: Asked, past: History, storage: Storage) -> Iterator[tuple[str, int]]:
    """Base key and number of the samples whose pictures were made and are not in their place any more."""
    made = (
        (base, number, found[0])
        for base, samples in asked
        for number in range(1, samples + 1)
        if past.status(base, number) == "ok" and (found := past.details(base, number))
    )
    while batch := list(islice(made, LOOKED_FOR_TOGETHER)):
        gone = are_gone([sample for _, _, sample in batch], storage)
        yield from ((base, number) for base, number, _ in compress(batch, gone))


@dataclass(frozen=True, slots=True)
class _Without:
    """A past in which nothing is known of some samples."""

    past: History
    gone: set[tuple[str, int]]

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; None when nothing is known of it."""
        return None if (base, number) in self.gone else self.past.status(base, number)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A past in which whatever got an answer since a moment is done with."""

    past: History
    since: float

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; ok where it had its turn."""
        status = self.past.status(base, number)
        return "ok" if status not in {None, "ok"} and self.is_answered(base, number) else status

    def is_answered(self, base: str, number: int) -> bool:
        """Whether a result was recorded since, and no attempt was made after it."""
        found = self.past.details(base, number)
        if found is None or found[0].status != self.past.status(base, number):
            return False
        return (found[1].finished_at or 0.0) >= self.since
