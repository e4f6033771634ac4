"""Decides which samples still have to be requested."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import compress, islice
from math import inf

from imagen_batch.choices import Retry
from imagen_batch.images.file_state import FILES_PER_LOOKUP, missing_files
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.records import OrderedVersion, kept_record, review_record, versions_record
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.plan_builder import is_selected
from imagen_batch.planning.requests import request_count, requests_for
from imagen_batch.planning.row_index import PendingRow, RowIndex, SampleHistory
from imagen_batch.planning.rows import PlannedRow
from imagen_batch.planning.samples.approved import moves_from_placeholders
from imagen_batch.planning.samples.versions import order_versions, version_request
from imagen_batch.records import ImageRequest, Outcome
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, Storage, explain_storage_errors, open_storage

_MAX_FIRST_ROWS = 3  # rows that the text of a plan names


@dataclass(slots=True)
class StageTotals:
    """What is sent before the next rows have the images that they need; see `PendingTotals`."""

    requests: int = 0
    samples: int = 0
    usd: float = 0.0


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


def count_pending(
    plan: RunPlan, history: History | None = None, *, settings: Settings | None = None
) -> PendingTotals:
    """Count what is pending. Without a `history` the ledger of the run's folder is read, if there is one.

    `settings` are those of a run that would continue; by default those of `plan`.
    """
    history = history or _read_history(plan)
    index = plan.index
    plan.follow(history)
    requests = samples = unpriced = redone = 0
    usd = dearest = 0.0
    cheapest, smallest = inf, 0
    counter = _MadeCounter(history)
    first: list[PendingRow] = []
    stages = _Stages(index)
    for pending in _pending_rows_of(plan, history, settings or plan.settings, counter=counter):
        row, _, numbers, versions = pending
        if len(first) < _MAX_FIRST_ROWS and index.waiting(row) is None:
            first.append(pending)
        per_request = index.per_request(row)
        requests += request_count(numbers, per_request) + len(versions)
        samples += len(numbers) + len(versions)
        redone += len(versions)
        worst = (index.price(row) or 0.0) * len(numbers) + sum(each.usd or 0.0 for each in versions)
        stages.add(row, request_count(numbers, per_request) + len(versions), len(numbers) + len(versions), worst)
        prices = [(each.usd, 1, 1) for each in versions]
        if numbers:
            prices.append((index.price(row), len(numbers), per_request))
        for price, count, at_once in prices:
            if price is None:
                unpriced += count
            else:
                usd += price * count
                dearest = max(dearest, price * min(at_once, count))
            fewest = count % at_once or at_once
            cheapest = min(cheapest, (price or 0.0) * fewest)
            smallest = min(smallest or fewest, fewest)
    return PendingTotals(
        requests=requests,
        samples=samples,
        usd=usd,
        unpriced=unpriced,
        dearest=dearest,
        cheapest=cheapest if requests else 0.0,
        smallest=smallest,
        made=counter.made,
        held=max(0, _selected_samples(plan) - counter.made - samples + redone - counter.settled - counter.waiting),
        waiting=counter.waiting,
        first=tuple(first),
        redone=redone,
        stages=stages.totals,
    )


def _selected_samples(plan: RunPlan) -> int:
    if plan.settings.accept is None:
        return plan.selected_samples
    return sum(samples for row, (_, samples) in enumerate(plan.index, 1) if plan.selects(row))


def first_requests(plan: RunPlan, pending: PendingTotals) -> Iterator[ImageRequest]:
    """Yield the first requests that would be sent. The input is read only that far."""
    return pending_requests(plan.planned_rows(), pending.first)


def remaining_requests(
    plan: RunPlan, history: History, *, answered_since: float | None = None
) -> Iterator[ImageRequest]:
    """Yield what is still to be sent, in input order. The input is read only as far as the last pending row.

    Samples with any result since `answered_since` (seconds since the epoch) are left out: they had their turn.
    With a time limit, samples that were attempted before come after all others: those that keep failing at the
    beginning of the file do not use up the time of the others.
    """
    known = history if answered_since is None else _AnsweredSince(history, answered_since)
    if not plan.settings.has_time_limit:
        yield from pending_requests(plan.planned_rows(), _pending_rows_of(plan, known, plan.settings))
        return
    for attempted in (False, True):
        rows = _by_attempts(_pending_rows_of(plan, known, plan.settings), history, attempted=attempted)
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


def nothing_to_send(pending: PendingTotals) -> str:
    """Say why a run sends nothing."""
    made = f"{pending.made:,} made"
    if not pending.held and not pending.waiting:
        return f"Nothing to send: all {made}."
    return f"Nothing to send: {made}{describe_held(pending)}."


def describe_redone(plan: RunPlan, pending: PendingTotals) -> str:
    """Say how many of the images are further versions of samples."""
    count = f"{pending.redone:,} as {'a further version' if pending.redone == 1 else 'further versions'}"
    if plan.settings.upgrade:
        count += f" in {plan.settings.upgrade}, which may differ from the approved ones"
    return count


def describe_held(pending: PendingTotals) -> str:
    """Say how many samples are sent again only on request; empty where there are none."""
    text = ""
    if pending.held:
        verb = "is" if pending.held == 1 else "are"
        text += f"; {pending.held:,} refused or failed {verb} tried again only with --retry"
    if pending.waiting:
        verb = "waits" if pending.waiting == 1 else "wait"
        text += f"; {pending.waiting:,} {verb} for the image of another row"
    return text


def pending_rows(
    index: RowIndex, history: SampleHistory, *, settings: Settings, only: Container[int] | None = None
) -> Iterator[PendingRow]:
    """Yield the rows for which the run has to send something, in input order.

    `only` selects rows; samples of these rows that failed or were refused are sent again as well.
    """
    is_pending = _pending_statuses(settings, selected=only is not None)
    of_orders = _pending_orders(settings, selected=only is not None)
    reviews = history.reviews
    for row, (base, samples) in enumerate(index, 1):
        if only is None and settings.limit is not None and row > settings.limit:
            return
        if only is not None and row not in only:
            continue
        numbers = [number for number in range(1, samples + 1) if is_pending(history.status(base, number))]
        versions: tuple[OrderedVersion, ...] = ()
        if reviews:
            orders = [order for number in range(1, samples + 1) if (order := reviews.order(base, number))]
            ordered = {order.number for order in orders}
            numbers = [each for each in numbers if each not in ordered and not reviews.is_settled(base, each)]
            numbers, versions = _split_versions(base, numbers[: index.missing(row)], reviews)
            versions += tuple(each for each in orders if of_orders(history.status(each.key, each.number)))
        elif settings.accept is not None:
            numbers = numbers[: index.missing(row)]
        if numbers or versions:
            yield PendingRow(row, base, numbers, versions)


def pending_requests(rows: Iterable[PlannedRow], pending: Iterable[PendingRow]) -> Iterator[ImageRequest]:
    """Yield the requests for pending rows. `rows` is read only as far as the last of them."""
    planned_rows = iter(rows)
    for row, base, numbers, versions in pending:
        if not numbers:  # an order needs nothing of its row
            yield from (version_request(row, order) for order in versions)
            continue
        planned = next(planned for planned in planned_rows if planned.row.row == row)
        yield from requests_for(planned, base, numbers)
        yield from (version_request(row, order) for order in versions)


def _split_versions(
    base: str, numbers: Iterable[int], reviews: Reviews
) -> tuple[list[int], tuple[OrderedVersion, ...]]:
    """Separate the samples that a further version stands for: that version is sent again, and not the first one."""
    current = {number: reviews.current(base, number) for number in numbers}
    versions = tuple(version for version in current.values() if version is not None)
    return [number for number, version in current.items() if version is None], versions


def _pending_statuses(settings: Settings, *, selected: bool) -> Callable[[Outcome | None], bool]:
    pending: set[str | None] = {None, "not_attempted", "skipped_budget", *settings.retry}
    if selected:
        pending |= {"failed", "filtered"}
    if settings.on_unknown == "resend":
        pending.add("unknown")
    return pending.__contains__


def _pending_orders(settings: Settings, *, selected: bool) -> Callable[[Outcome | None], bool]:
    """What has to be sent of the versions that were ordered: --redo also tries failed ones again."""
    retry: tuple[Retry, ...] = ("failed", *settings.retry) if settings.redo else settings.retry
    return _pending_statuses(settings.model_copy(update={"retry": retry}), selected=selected)


def _read_history(plan: RunPlan) -> History:
    location = plan.settings.folder
    with explain_storage_errors(location, to="be read"):
        history = read_history(open_storage(location).logs(LEDGER))
    if plan.decisions:  # the run will record these before anything else
        history.fold(review_record(plan.decisions), position=0)
    if plan.moves:
        history.fold(kept_record(move.as_record() for move in plan.moves), position=0)
    plan.follow(history)  # marks are about the keys that rows have in the ledger
    if moves := moves_from_placeholders(plan, history):
        history.fold(kept_record(move.as_record() for move in moves), position=0)
    if orders := order_versions(plan, history):
        history.fold(versions_record(orders), position=0)
    return history


def _pending_rows_of(
    plan: RunPlan, history: History | _AnsweredSince, settings: Settings, *, counter: _MadeCounter | None = None
) -> Iterator[PendingRow]:
    only = plan.only
    if plan.lost is not None:
        if counter is not None:
            _count_others(plan.index, plan.lost, counter)
        return _still_lost(plan.lost, history)
    recorded = history.history if isinstance(history, _AnsweredSince) else history
    if isinstance(recorded, History):
        plan.follow(recorded)
    known: History | _AnsweredSince | _WithoutMissingFiles = history
    if isinstance(history, History) and (only is not None or {"failed", "missing"}.intersection(settings.retry)):
        storage = open_storage(settings.folder)
        known = _WithoutMissingFiles(history, set(_samples_without_file(plan.index, history, storage)))
    if counter is None:
        rows = pending_rows(plan.index, known, settings=settings, only=only)
        return (pending for pending in rows if plan.index.waiting(pending.row) is None)
    counter.history = known
    rows = pending_rows(plan.index, counter, settings=settings, only=only)
    return _without_hopeless(rows, plan.index, known, settings=settings, counter=counter, only=only)


def _without_hopeless(
    rows: Iterator[PendingRow],
    index: RowIndex,
    known: SampleHistory,
    *,
    settings: Settings,
    counter: _MadeCounter,
    only: frozenset[int] | None,
) -> Iterator[PendingRow]:
    """Leave out rows that wait for an image which this run does not make. Counts their samples."""
    images = index.images
    if images is None or not images.waiting:
        yield from rows
        return
    is_pending = _pending_statuses(settings, selected=only is not None)
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


def _count_others(index: RowIndex, lost: Iterable[PendingRow], counter: _MadeCounter) -> None:
    """Count every sample that a repair does not make again."""
    again = {(pending.row, number) for pending in lost for number in pending.numbers}
    for row, (base, samples) in enumerate(index, 1):
        for number in range(1, samples + 1):
            if (row, number) not in again:
                counter.status(base, number)


def _still_lost(lost: Iterable[PendingRow], history: History | _AnsweredSince) -> Iterator[PendingRow]:
    """Yield what a repair makes again, whatever the ledger says of it, each sample once."""
    for row, base, numbers, _ in lost:
        if isinstance(history, _AnsweredSince):
            numbers = [number for number in numbers if not history.is_answered(base, number)]  # noqa: PLW2901
        if numbers:
            yield PendingRow(row, base, *_split_versions(base, numbers, history.reviews))


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


class _Stages:
    """Adds up what is sent in each stage."""

    def __init__(self, index: RowIndex) -> None:
        self._stage_of = index.images.stages() if index.images else {}
        self._totals: dict[int, StageTotals] = {}

    def add(self, row: int, requests: int, samples: int, usd: float) -> None:
        """Count a pending row."""
        if self._stage_of:
            total = self._totals.setdefault(self._stage_of.get(row, 0), StageTotals())
            total.requests += requests
            total.samples += samples
            total.usd += usd

    @property
    def totals(self) -> tuple[StageTotals, ...]:
        """The stages in their order; none where nothing waits."""
        return tuple(self._totals[stage] for stage in sorted(self._totals))


@dataclass(slots=True)
class _MadeCounter:
    """A history that counts the images among the samples that are looked up. Each sample is looked up once.

    `waiting` counts the samples that wait for the image of another row.
    """

    history: History | _AnsweredSince | _WithoutMissingFiles
    made: int = 0
    settled: int = 0  # rejected samples without an image

    @property
    def reviews(self) -> Reviews:
        """The decisions about samples."""
        return self.history.reviews

    waiting: int = 0

    def status(self, base: str, number: int) -> Outcome | None:
        """Return the outcome of a sample; None when nothing is known of it."""
        status = self.history.status(base, number)
        self.made += status == "ok"
        self.settled += status != "ok" and self.reviews.is_settled(base, number)
        return status


@dataclass(frozen=True, slots=True)
class _WithoutMissingFiles:
    """A history in which nothing is known of samples whose files are missing."""

    history: History
    missing: set[tuple[str, int]]

    @property
    def reviews(self) -> Reviews:
        """The decisions about samples."""
        return self.history.reviews

    def status(self, base: str, number: int) -> Outcome | None:
        """Return the outcome of a sample; None when nothing is known of it."""
        return None if (base, number) in self.missing else self.history.status(base, number)


@dataclass(frozen=True, slots=True)
class _AnsweredSince:
    """A history in which every sample with a result since a moment counts as done."""

    history: History
    since: float

    @property
    def reviews(self) -> Reviews:
        """The decisions about samples."""
        return self.history.reviews

    def status(self, base: str, number: int) -> Outcome | None:
        """Return the outcome of a sample; "ok" where it had its turn."""
        status = self.history.status(base, number)
        return "ok" if status not in {None, "ok"} and self.is_answered(base, number) else status

    def is_answered(self, base: str, number: int) -> bool:
        """Return whether a result was recorded since then, and no attempt was made after it."""
        details = self.history.details(base, number)
        if details is None or details[0].status != self.history.status(base, number):
            return False
        return (details[1].finished_at or 0.0) >= self.since
