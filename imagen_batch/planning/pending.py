"""Decides which samples still have to be requested."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import compress, islice
from math import inf

from imagen_batch.images.file_state import LOOKED_FOR_TOGETHER, missing_files
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.reader import kept_record
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.requests import request_count, requests_for
from imagen_batch.planning.row_index import PendingRow, RowIndex, SampleHistory
from imagen_batch.planning.rows import PlannedRow
from imagen_batch.records import ImageRequest, Outcome
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, Storage, in_reach, open_storage

_FIRST = 3  # rows that a plan names


@dataclass(frozen=True, slots=True)
class PendingTotals:
    """Requests that a run would send now, and their worst-case price in USD."""

    requests: int
    samples: int
    usd: float
    unpriced: int  # pictures without a known price
    dearest: float = 0.0  # worst-case price of the request that costs most
    cheapest: float = 0.0  # of the one that costs least
    smallest: int = 0  # pictures of the request that asks for fewest
    made: int = 0  # samples with a picture
    held: int = 0  # samples without one that are not sent again by themselves
    first: tuple[PendingRow, ...] = ()  # the first rows that lack something


def count_pending(plan: RunPlan, past: History | None = None, *, settings: Settings | None = None) -> PendingTotals:
    """Count what is left. Without a `past` the ledger of the run's folder is read, if there is one.

    `settings` are those of a run that would continue; without them those of `examined`.
    """
    past = past or _past(plan)
    plan.keep_earlier_texts(past)
    asked = plan.asked
    requests = samples = unpriced = 0
    usd = dearest = 0.0
    cheapest, smallest = inf, 0
    counting = _Counting(past)
    first: list[PendingRow] = []
    for lack in _lacks(plan, past, settings or plan.settings, seen_by=counting):
        row, _, numbers = lack
        if len(first) < _FIRST:
            first.append(lack)
        per_request = asked.per_request(row)
        requests += request_count(numbers, per_request)
        samples += len(numbers)
        price = asked.price(row)
        if price is None:
            unpriced += len(numbers)
        else:
            usd += price * len(numbers)
            dearest = max(dearest, price * min(per_request, len(numbers)))
        least = len(numbers) % per_request or per_request
        cheapest = min(cheapest, (price or 0.0) * least)
        smallest = min(smallest or least, least)
    return PendingTotals(
        requests=requests,
        samples=samples,
        usd=usd,
        unpriced=unpriced,
        dearest=dearest,
        cheapest=cheapest if requests else 0.0,
        smallest=smallest,
        made=counting.made,
        held=max(0, plan.wanted_samples - counting.made - samples),
        first=tuple(first),
    )


def first_requests(plan: RunPlan, left: PendingTotals) -> Iterator[ImageRequest]:
    """The first requests that would be sent. The input is read only that far."""
    return pending_requests(plan.orders(), left.first)


def _past(plan: RunPlan) -> History:
    place = plan.settings.place
    with in_reach(place, to="be read"):
        past = read_history(open_storage(place).logs(LEDGER))
    if plan.moves:  # which the run will record before anything else
        past.fold(kept_record(move.as_record() for move in plan.moves), where=0)
    return past


def remaining_requests(
    plan: RunPlan, past: History, *, answered_since: float | None = None
) -> Iterator[ImageRequest]:
    """What is still to be sent, in input order. The input is read only as far as something lacks.

    What got its answer since a moment, in seconds since the epoch, has had its turn, whatever that was.
    """
    seen = past if answered_since is None else _AnsweredSince(past, answered_since)
    return pending_requests(plan.orders(), _lacks(plan, seen, plan.settings))


def _lacks(
    plan: RunPlan, past: History | _AnsweredSince, settings: Settings, *, seen_by: _Counting | None = None
) -> Iterator[PendingRow]:
    only = plan.only
    if plan.lost is not None:
        if seen_by is not None:
            _count_others(plan.asked, plan.lost, seen_by)
        return _still_lost(plan.lost, past)
    again = only is not None or {"failed", "missing"}.intersection(settings.retry)
    if isinstance(past, History):
        plan.keep_earlier_texts(past)
    known: History | _AnsweredSince | _WithoutMissingFiles = past
    if isinstance(past, History) and again:
        known = _WithoutMissingFiles(past, set(_gone(plan.asked, past, open_storage(settings.place))))
    if seen_by is None:
        return pending_rows(plan.asked, known, settings=settings, only=only)
    seen_by.past = known
    return pending_rows(plan.asked, seen_by, settings=settings, only=only)


def _count_others(asked: RowIndex, lost: Iterable[PendingRow], counting: _Counting) -> None:
    """Let `counting` see every sample that a repair does not make again."""
    again = {(row, number) for row, _, numbers in lost for number in numbers}
    for row, (base, samples) in enumerate(asked, 1):
        for number in range(1, samples + 1):
            if (row, number) not in again:
                counting.status(base, number)


def _still_lost(lost: Iterable[PendingRow], past: History | _AnsweredSince) -> Iterator[PendingRow]:
    """What a repair makes again, whatever the ledger says of it; once a sample had its turn it is done with."""
    for row, base, numbers in lost:
        left = [
            number for number in numbers if not (isinstance(past, _AnsweredSince) and past.is_answered(base, number))
        ]
        if left:
            yield PendingRow(row, base, left)


def _gone(asked: RowIndex, past: History, storage: Storage) -> Iterator[tuple[str, int]]:
    """Base key and number of the samples whose pictures were made and are not in their place any more."""
    made = (
        (base, number, found[0])
        for base, samples in asked
        for number in range(1, samples + 1)
        if past.status(base, number) == "ok" and (found := past.details(base, number))
    )
    while batch := list(islice(made, LOOKED_FOR_TOGETHER)):
        gone = missing_files([sample for _, _, sample in batch], storage)
        yield from ((base, number) for base, number, _ in compress(batch, gone))


@dataclass(slots=True)
class _Counting:
    """A past that counts the pictures it is asked about. Each sample is asked about once."""

    past: History | _AnsweredSince | _WithoutMissingFiles
    made: int = 0

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; None when nothing is known of it."""
        status = self.past.status(base, number)
        self.made += status == "ok"
        return status


@dataclass(frozen=True, slots=True)
class _WithoutMissingFiles:
    """A past in which nothing is known of some samples."""

    past: History
    gone: set[tuple[str, int]]

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; None when nothing is known of it."""
        return None if (base, number) in self.gone else self.past.status(base, number)


@dataclass(frozen=True, slots=True)
class _AnsweredSince:
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


def nothing_to_send(left: PendingTotals) -> str:
    """Why a run sends nothing."""
    made = f"{left.made:,} made"
    return f"Nothing to send: {made}{_held(left)}." if left.held else f"Nothing to send: all {made}."


def _held(left: PendingTotals) -> str:
    if not left.held:
        return ""
    verb = "is" if left.held == 1 else "are"
    return f"; {left.held:,} refused or failed {verb} tried again only with --retry"


def pending_rows(
    asked: RowIndex, past: SampleHistory, *, settings: Settings, only: Container[int] | None = None
) -> Iterator[PendingRow]:
    """The rows for which the run has to send something, in input order.

    With `only` these rows are asked for and no others, and of them also what has failed.
    """
    wanted = _wanted(settings, named=only is not None)
    for row, (base, samples) in enumerate(asked, 1):
        if only is None and settings.limit is not None and row > settings.limit:
            return
        if only is not None and row not in only:
            continue
        numbers = [number for number in range(1, samples + 1) if wanted(past.status(base, number))]
        if numbers:
            yield PendingRow(row, base, numbers)


def pending_requests(orders: Iterable[PlannedRow], lacks: Iterable[PendingRow]) -> Iterator[ImageRequest]:
    """The requests for what the rows lack. `orders` are asked for only as far as something lacks."""
    ordered = iter(orders)
    for lack in lacks:
        order = next(order for order in ordered if order.row.row == lack.row)
        yield from requests_for(order, lack.base, lack.numbers)


def _wanted(settings: Settings, *, named: bool) -> Callable[[Outcome | None], bool]:
    again: set[str | None] = {None, "not_attempted", "skipped_budget", *settings.retry}
    if named:
        again |= {"failed", "filtered"}
    if settings.on_unknown == "resend":
        again.add("unknown")
    return again.__contains__
