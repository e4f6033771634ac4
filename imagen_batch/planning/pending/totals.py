"""Adds up what is pending: requests, images and their worst-case price, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from imagen_batch.planning.compact_row_index import PendingRow, RowIndex
from imagen_batch.planning.pending.history_views import MadeCounter
from imagen_batch.planning.requests_and_shards import request_count

_MAX_FIRST_ROWS = 3  # rows that the text of a plan names


@dataclass(slots=True)
class StageTotals:
    """What is sent before the next rows have the images that they need; see `PendingTotals`."""

    requests: int = 0
    samples: int = 0
    usd: float = 0.0

    def add(self, other: StageTotals) -> None:
        """Add what else is sent in the stage."""
        self.requests += other.requests
        self.samples += other.samples
        self.usd += other.usd


@dataclass(frozen=True, slots=True)
class PendingTotals:
    """Requests that a run would send now, and their worst-case price in USD."""

    requests: int
    samples: int
    usd: float
    unpriced: int  # images without a known price
    dearest: float = 0.0  # worst-case price of the most expensive request
    cheapest: float = 0.0  # of the cheapest one
    smallest: int = 0  # images of the request that asks for fewest
    made: int = 0  # samples with an image
    held: int = 0  # samples without one that are sent again only with --retry
    waiting: int = 0  # samples that wait for the image of another row, and which this run can't make
    first: tuple[PendingRow, ...] = ()  # the first pending rows
    redone: int = 0  # of the samples, further versions of samples that were answered before
    stages: tuple[StageTotals, ...] = ()  # where rows need images that this run makes first
    spent: float = 0.0  # USD that the folder's runs charged or may have charged, as limits count them
    images_made: int = 0  # images that they made or may have made


class Accumulator:
    """Adds up pending rows."""

    def __init__(self, index: RowIndex) -> None:
        self._index = index
        self._all = StageTotals()
        self._first: list[PendingRow] = []
        self._stage_of = index.images.stages() if index.images else {}
        self._stages: dict[int, StageTotals] = {}
        self._redone = 0
        self._unpriced = 0
        self._dearest = 0.0
        self._cheapest, self._smallest = inf, 0

    def add(self, pending: PendingRow) -> None:
        """Count a pending row: its samples, and further versions of samples, each a request of its own."""
        row, _, numbers, versions = pending
        if len(self._first) < _MAX_FIRST_ROWS and self._index.waiting(row) is None:
            self._first.append(pending)
        per_request = self._index.per_request(row)
        worst = 0.0
        if numbers:
            worst += self._price(self._index.price(row), len(numbers), per_request)
        worst += sum(self._price(each.usd, 1, 1) for each in versions)
        self._redone += len(versions)
        added = StageTotals(request_count(numbers, per_request) + len(versions), len(numbers) + len(versions), worst)
        self._all.add(added)
        if self._stage_of:
            self._stages.setdefault(self._stage_of.get(row, 0), StageTotals()).add(added)

    def totals(self, counter: MadeCounter, *, selected: int) -> PendingTotals:
        """The sums, with what the lookups of all `selected` samples counted."""
        waiting_or_made = counter.made + counter.settled + counter.waiting
        return PendingTotals(
            requests=self._all.requests,
            samples=self._all.samples,
            usd=self._all.usd,
            unpriced=self._unpriced,
            dearest=self._dearest,
            cheapest=self._cheapest if self._all.requests else 0.0,
            smallest=self._smallest,
            made=counter.made,
            held=max(0, selected - waiting_or_made - self._all.samples + self._redone),
            waiting=counter.waiting,
            first=tuple(self._first),
            redone=self._redone,
            stages=tuple(self._stages[stage] for stage in sorted(self._stages)),
        )

    def _price(self, price: float | None, count: int, per_request: int) -> float:
        """Take in the price of `count` images of a row; return their worst case in USD."""
        if price is None:
            self._unpriced += count
        self._dearest = max(self._dearest, (price or 0.0) * min(per_request, count))
        fewest = count % per_request or per_request
        self._cheapest = min(self._cheapest, (price or 0.0) * fewest)
        self._smallest = min(self._smallest or fewest, fewest)
        return (price or 0.0) * count
