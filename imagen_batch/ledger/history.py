"""Folds a ledger into the state of each sample and the costs of the run.

Every record is read once. Only a status and the position of its `done` record are kept for each sample; details are
read back from disk when the manifest is written, so memory stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagen_batch.ledger.costs import Charges, Cost
from imagen_batch.ledger.reader import (
    BackRecord,
    DoneRecord,
    KeptRecord,
    Record,
    ReviewRecord,
    SentRecord,
    VersionsRecord,
    as_sample,
    done_at,
    kept_at,
    ledger_files,
    records_in,
)
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.records import OUTCOMES, ImageRequest, Outcome, RequestTrace, SampleResult

_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
_STATUS_BITS = 3
_OFFSET_BITS = 48
_BLOCK = 1 << 18  # bytes of a ledger read at once: some hundred records
_BEFORE = 1 << 16  # of them, bytes before the requested record: results are nearly, not exactly in input order


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt without a recorded end."""

    key: str
    base: str
    first: int
    names: tuple[str, ...]
    attempt: int
    at: float
    usd: float | None

    @property
    def share(self) -> float | None:
        """The worst-case price of one of its samples."""
        return None if self.usd is None else self.usd / len(self.names)

    @property
    def numbers(self) -> range:
        """The sample numbers that it requested."""
        return range(self.first, self.first + len(self.names))


@dataclass(frozen=True, slots=True)
class Failed:
    """The latest attempt for a sample, where it failed and no result followed."""

    key: str
    attempt: int
    sent_at: float
    at: float
    kind: str
    http_status: int | None
    error: str  # message of the service or the network


class History:
    """The state of a run, folded from its ledger."""

    def __init__(self) -> None:
        self.attempts = 0
        self.refused_429 = 0
        self.reviews = Reviews(self.recorded_status)
        self._charges: dict[str, Charges] = {}  # by kind of provider
        self._costs: dict[bytes, float] = {}  # USD of samples with charges beside those of one image
        self._open: dict[tuple[str, int], SentRecord] = {}
        self._attempts_by_key: dict[str, int] = {}
        self._failed: dict[bytes, tuple[SentRecord, BackRecord]] = {}  # the latest attempt without a result
        self._files: list[Path] = []
        self._numbers: dict[str, int] = {}  # file numbers by file name, which is unique in the whole ledger
        self._ends: list[int] = []  # how far each file was read
        self._positions: dict[bytes, int] = {}
        self._kept: dict[bytes, tuple[int, int]] = {}  # position of its `kept` record, index of the move
        self._unresolved: dict[bytes, int] = {}  # attempts that may have been charged, without a later result
        self._last: tuple[int, DoneRecord] | None = None
        self._last_kept: tuple[int, KeptRecord] | None = None
        self._block: tuple[int, bytes] = (0, b"")

    @property
    def known_cost(self) -> Cost:
        """What all providers charged, without open attempts."""
        return self._ended_charges(None).cost

    @property
    def images_recorded(self) -> int:
        """Images that were ever recorded, from all providers."""
        return self._ended_charges(None).images

    def charges(self, provider: str | None = None) -> Charges:
        """What was charged, with open attempts counted as possibly charged.

        With a `provider`, only charges of its kind count: a simulator's are not real. Records of earlier versions,
        which name no provider, count as either kind.
        """
        charges = self._ended_charges(provider)
        for sent in self._open.values():
            if provider is None or _kind(sent) in {"", kind_of(provider)}:
                charges.add_possible(sent.usd, images=len(sent.names))
        return charges

    def cost(self, base: str, number: int) -> float | None:
        """All charges for a sample in USD, in all versions; None where that is what its own record says."""
        if versions := self.reviews.versions(base, number):
            return round(
                sum(self._slot_cost(_slot(key, number)) for key in (base, *(each.key for each in versions))), 9
            )
        return self._costs.get(_slot(base, number)) if self._costs else None

    def open_since(self, moment: float) -> set[tuple[str, int]]:
        """The samples, as (base, number), of open attempts that began at `moment` or later."""
        attempts = (attempt for attempt in self.open.values() if attempt.at >= moment)
        return {(attempt.base, number) for attempt in attempts for number in attempt.numbers}

    def attempts_of(self, key: str) -> int:
        """The number of attempts for a request that has no result."""
        return self._attempts_by_key.get(key, 0)

    @property
    def open(self) -> dict[tuple[str, int], OpenAttempt]:
        """The attempts without a recorded end, by key and attempt number, the latest last."""
        return {attempt: _open_attempt(record) for attempt, record in self._open.items()}

    def status(self, base: str, number: int) -> Outcome | None:
        """The outcome of a sample's current version; None when nothing is known of it."""
        return self.recorded_status(self._current(base, number), number)

    def approved(self, base: str, samples: int) -> int | None:
        """The first approved sample of a row, whose approved image `details` returns; None where none is approved."""
        return self.reviews.approved(base, samples)

    def recorded_status(self, key: str, number: int) -> Outcome | None:
        """The outcome of the version of a sample that has this row key; None when nothing is known of it."""
        slot = _slot(key, number)
        position = self._positions.get(slot)
        if position is not None:
            return self._outcome(slot, position)
        return "unknown" if slot in self._unresolved else None

    def is_unresolved(self, base: str, number: int) -> bool:
        """Whether an attempt for a sample may have been charged, and no result followed."""
        return _slot(base, number) in self._unresolved

    @property
    def has_unresolved(self) -> bool:
        """Whether any sample is unresolved."""
        return bool(self._unresolved)

    def previous_attempts(self, request: ImageRequest) -> int:
        """The number of attempts for a request, with or without a result; the next attempt continues the count."""
        if request.key in self._attempts_by_key:
            return self._attempts_by_key[request.key]
        details = self.details(request.base, request.first)
        return details[1].attempts if details is not None and details[1].key == request.key else 0

    def images_made(self) -> int:
        """The number of samples whose image is recorded."""
        ok = _NUMBERS["ok"]
        return sum(position & ((1 << _STATUS_BITS) - 1) == ok for position in self._positions.values())

    def latest_open_attempt(self, base: str, number: int) -> OpenAttempt | None:
        """The latest attempt for a sample that has no recorded end."""
        base = self._current(base, number)
        of_row = [_open_attempt(sent) for sent in self._open.values() if sent.base == base]
        covering = [attempt for attempt in of_row if number in attempt.numbers]
        return covering[-1] if covering else None

    def last_failed(self, base: str, number: int) -> Failed | None:
        """The latest attempt for a sample, where it failed and nothing followed."""
        records = self._failed.get(_slot(self._current(base, number), number))
        if records is None:
            return None
        sent, back = records
        error = back.error or back.kind  # earlier versions recorded the kind alone
        return Failed(sent.key, sent.attempt, sent.at, back.at, back.kind, back.status, error)

    def details(self, base: str, number: int) -> tuple[SampleResult, RequestTrace] | None:
        """The recorded result of a sample and the trace of its request; None when there is no result."""
        return self.recorded_details(self._current(base, number), number)

    def recorded_details(self, key: str, number: int) -> tuple[SampleResult, RequestTrace] | None:
        """The same for the version of a sample that has this row key."""
        position = self._positions.get(_slot(key, number))
        return None if position is None else self._details(position, number)

    def kept(self, base: str, number: int) -> Mapping[str, Any] | None:
        """What a sample's image was made from, where that is not what the row says now."""
        if (version := self.reviews.current(base, number)) is not None:
            return version.facts
        return self.kept_first(base, number)

    def kept_first(self, base: str, number: int) -> Mapping[str, Any] | None:
        """What version 1 of a sample was made from, where the row's text was edited since."""
        where, index = self._kept.get(_slot(base, number), (-1, 0))
        if where < 0:
            return None
        last = self._last_kept  # cached apart from results: the record may be long, and results are read in between
        if last is None or last[0] != where:
            last = self._last_kept = (where, kept_at(*self._location(where), self._line(where)))
        return last[1].moves[index].facts

    def final_result(self, base: str, number: int) -> tuple[SampleResult, RequestTrace] | None:
        """The same as `details`, but None where the outcome is unknown, also because of a later attempt."""
        slot = _slot(self._current(base, number), number)
        position = self._positions.get(slot)
        if position is None or self._outcome(slot, position) == "unknown":
            return None
        return self._details(position, number)

    def max_images_made(self, provider: str | None = None) -> int:
        """The most images that can have been made: those recorded and those of attempts without a known outcome."""
        charges = self.charges(provider)
        return charges.images + charges.possible_images

    def cost_bounds(self, provider: str | None = None) -> Cost:
        """The cost with open attempts counted as possibly charged."""
        return self.charges(provider).cost

    def fold(self, record: Record, *, where: int) -> None:
        """Take one record into account. `where` holds its file number and offset."""
        if isinstance(record, SentRecord):
            self._fold_sent(record)
        elif isinstance(record, DoneRecord):
            self._fold_done(record, where)
        elif isinstance(record, BackRecord):
            self._fold_back(record)
        elif isinstance(record, KeptRecord):
            self._fold_kept(record, where)
        elif isinstance(record, ReviewRecord | VersionsRecord):
            self.reviews.fold(record)

    def read(self, path: Path) -> None:
        """Fold a ledger file, or only its new records where it was read before."""
        number = self._numbers.setdefault(path.name, len(self._files))
        if number == len(self._files):
            self._files.append(path)
            self._ends.append(0)
        self._files[number] = path
        base = number << _OFFSET_BITS
        for offset, end, record in records_in(path, self._ends[number]):
            self.fold(record, where=base | offset)
            self._ends[number] = end

    def read_folder(self, folder: Path) -> None:
        """Fold the new records of all ledger files of `folder`, in the order of the files' names."""
        for path in ledger_files(folder):
            self.read(path)

    def _current(self, base: str, number: int) -> str:
        """The row key of a sample's current version."""
        version = self.reviews.current(base, number)
        return base if version is None else version.key

    def _slot_cost(self, slot: bytes) -> float:
        if slot in self._costs:
            return self._costs[slot]
        position = self._positions.get(slot)
        return 0.0 if position is None else self._recorded_cost(position, slot)

    def _outcome(self, slot: bytes, position: int) -> Outcome:
        recorded = _outcome(position)
        return "unknown" if recorded != "ok" and slot in self._unresolved else recorded

    def _details(self, position: int, number: int) -> tuple[SampleResult, RequestTrace]:
        record = self._record(position >> _STATUS_BITS)
        [result] = [sample for sample in record.samples if sample.number == number]
        return as_sample(result), _trace(record)

    def _fold_sent(self, record: SentRecord) -> None:
        self.attempts += 1
        self._open[record.key, record.attempt] = record
        self._attempts_by_key[record.key] = record.attempt
        first = record.first
        for number in range(first, first + len(record.names)):
            slot = _slot(record.base, number)
            self._failed.pop(slot, None)
            self._unresolved[slot] = self._unresolved.get(slot, 0) + 1

    def _fold_back(self, record: BackRecord) -> None:
        self.refused_429 += record.status == 429
        sent = self._open.pop((record.key, record.attempt), None)
        if sent is None:
            return
        attempt, charges = _open_attempt(sent), self._charges_of(sent)
        self._failed.update((_slot(attempt.base, number), (sent, record)) for number in attempt.numbers)
        usd = record.usd or 0.0  # of an answer that could not be used
        charges.cost.spent += usd
        for number in attempt.numbers if usd else ():
            self._add_cost(_slot(attempt.base, number), usd / len(attempt.names))
        if record.charged == "maybe":  # its samples stay unknown until a later attempt has a result
            charges.add_possible(attempt.usd, images=len(attempt.names))
            return
        charges.possible_images += len(attempt.names) * (record.charged == "yes")  # they came, and can't be used
        for number in attempt.numbers:
            self._resolve_one(_slot(attempt.base, number))

    def _fold_done(self, record: DoneRecord, where: int) -> None:
        charges = self._charges_of(self._open.pop((record.key, record.attempt), None))
        self._attempts_by_key.pop(record.key, None)
        charges.cost.possible += record.maybe_usd
        charges.lost_attempts += bool(record.maybe_usd)
        for sample in record.samples:
            slot, usd = _slot(record.base, sample.number), sample.cost_usd or 0.0
            self._unresolved.pop(slot, None)
            self._failed.pop(slot, None)
            charges.cost.spent += usd
            if slot in self._costs or slot in self._positions:
                self._add_cost(slot, usd)
            if sample.status == "ok":
                charges.images += 1
                charges.cost.unpriced += sample.cost_is == "unknown"
                self._kept.pop(slot, None)
            elif self._is_ok(slot):
                continue  # a later failure does not take away an image
            self._positions[slot] = where << _STATUS_BITS | _NUMBERS[sample.status]

    def _fold_kept(self, record: KeptRecord, where: int) -> None:
        """Apply all moves to the state before any of them, since rows may have changed places.

        A move with facts about what the image was made from belongs to an edited row; its source keeps the result.
        """
        self.reviews.move(record.moves)
        moves = [
            (_slot(move.source, number), _slot(move.base, number), index)
            for index, move in enumerate(record.moves)
            for number in move.numbers
        ]
        before = [(self._positions.get(source), self._kept.get(source)) for source, _, _ in moves]
        vacated = {source for source, _, index in moves if record.moves[index].prompt is None}
        for source in vacated.difference(target for _, target, _ in moves):
            self._positions.pop(source, None)
            self._kept.pop(source, None)
        for (_, target, index), (position, kept) in zip(moves, before, strict=True):
            self._failed.pop(target, None)
            if position is None:
                self._positions.pop(target, None)
                self._kept.pop(target, None)
            else:
                self._positions[target] = position
                own = record.moves[index].prompt is not None
                moved = (where, index) if own else kept
                self._kept.pop(target, None)
                self._kept.update({target: moved} if moved else {})

    def _ended_charges(self, provider: str | None) -> Charges:
        """The charges of attempts that ended, of a provider's kind and of records that name no provider."""
        kinds = set(self._charges) if provider is None else {"", kind_of(provider)}
        return sum((self._charges[kind] for kind in kinds & set(self._charges)), start=Charges())

    def _charges_of(self, sent: SentRecord | None) -> Charges:
        return self._charges.setdefault(_kind(sent), Charges())

    def _add_cost(self, slot: bytes, usd: float) -> None:
        """Add a charge for a sample beside the one in its result."""
        if slot not in self._costs:
            position = self._positions.get(slot)
            self._costs[slot] = 0.0 if position is None else self._recorded_cost(position, slot)
        self._costs[slot] += usd

    def _recorded_cost(self, position: int, slot: bytes) -> float:
        record, number = self._record(position >> _STATUS_BITS), int.from_bytes(slot[-4:], "big")
        return sum(sample.cost_usd or 0.0 for sample in record.samples if sample.number == number)

    def _is_ok(self, slot: bytes) -> bool:
        position = self._positions.get(slot)
        return position is not None and _outcome(position) == "ok"

    def _resolve_one(self, slot: bytes) -> None:
        if self._unresolved.get(slot, 0) > 1:
            self._unresolved[slot] -= 1
        else:
            self._unresolved.pop(slot, None)

    def _record(self, where: int) -> DoneRecord:
        last = self._last  # read once: any thread may replace it
        if last is None or last[0] != where:  # the samples of one request are looked up one after the other
            last = self._last = (where, done_at(*self._location(where), self._line(where)))
        return last[1]

    def _location(self, where: int) -> tuple[Path, int]:
        """The file that holds a record, and the byte offset in it."""
        return self._files[where >> _OFFSET_BITS], where & ((1 << _OFFSET_BITS) - 1)

    def _line(self, where: int) -> bytes:
        at, block = self._block
        start = where - at  # out of range if the block is of another file
        end = block.find(b"\n", start) if 0 <= start < len(block) else -1
        if end < 0:
            self._block = at, block = self._block_around(where)
            start = where - at
            end = block.find(b"\n", start)
        return block[start:end]

    def _block_around(self, where: int) -> tuple[int, bytes]:
        """A part of a ledger file that holds the whole record at `where`, and the position where it begins."""
        path, offset = self._location(where)
        before = min(_BEFORE, offset)
        with path.open("rb") as file:
            file.seek(offset - before)
            block = file.read(_BLOCK)
            if b"\n" not in block[before:]:
                block += file.readline()
        return where - before, block


def read_history(folder: Path) -> History:
    """Fold all ledger files of `folder` in the order of their names; an empty history when there are none."""
    history = History()
    history.read_folder(folder)
    return history


def kind_of(provider: str) -> str:
    """The kind of a provider: "simulator" charges nothing, "real" does."""
    return "simulator" if provider == "simulator" else "real"


def _kind(sent: SentRecord | None) -> str:
    """The kind of provider an attempt was sent to; "" where an earlier version did not record it."""
    return kind_of(sent.provider) if sent is not None and sent.provider else ""


def _slot(base: str, number: int) -> bytes:
    return bytes.fromhex(base[:24]) + number.to_bytes(4, "big")


def _outcome(position: int) -> Outcome:
    return OUTCOMES[position & ((1 << _STATUS_BITS) - 1)]


def _open_attempt(record: SentRecord) -> OpenAttempt:
    return OpenAttempt(record.key, record.base, record.first, record.names, record.attempt, record.at, record.usd)


def _trace(record: DoneRecord) -> RequestTrace:
    return RequestTrace(
        key=record.key,
        attempts=record.attempt,
        http_status=record.status,
        latency_s=record.latency,
        sent_at=record.sent_at,
        finished_at=record.at,
    )
