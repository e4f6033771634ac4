"""What does the ledger say about each sample, and about the money?

Reads every record of a run's ledger once. Kept per sample is a status and where its `done` record lies; the
details are read back from disk when the manifest is made, so memory stays small.
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
    SentRecord,
    as_sample,
    done_at,
    kept_at,
    ledger_files,
    records_in,
)
from imagen_batch.records import OUTCOMES, ImageRequest, Outcome, RequestTrace, SampleResult

_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
_STATUS_BITS = 3
_OFFSET_BITS = 48
_BLOCK = 1 << 18  # bytes of a ledger read at once: some hundred records
_BEFORE = 1 << 16  # of them, bytes before the record asked for: results lie nearly, not quite in input order


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """A `sent` that nothing answered."""

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
        """The sample numbers it asked for."""
        return range(self.first, self.first + len(self.names))


@dataclass(frozen=True, slots=True)
class Failed:
    """The latest attempt for a sample that brought nothing, where no result followed."""

    key: str
    attempt: int
    sent_at: float
    at: float
    kind: str
    http_status: int | None
    error: str  # the service's or the network's words


class History:
    """The state of a run, folded from its ledger."""

    def __init__(self) -> None:
        self.attempts = 0
        self.refused_429 = 0
        self._charges: dict[str, Charges] = {}  # by kind of provider
        self._costs: dict[bytes, float] = {}  # USD of samples that were charged for other than by one picture
        self._open: dict[tuple[str, int], SentRecord] = {}
        self._tries: dict[str, int] = {}
        self._failed: dict[bytes, tuple[SentRecord, BackRecord]] = {}  # the latest attempt without a result
        self._files: list[Path] = []
        self._numbers: dict[str, int] = {}  # of files, by their names: no two have the same, wherever they lie
        self._ends: list[int] = []  # how far each was read
        self._places: dict[bytes, int] = {}
        self._kept: dict[bytes, tuple[int, int]] = {}  # where its `kept` record lies, and which move of it
        self._pending: dict[bytes, int] = {}
        self._last: tuple[int, DoneRecord] | None = None
        self._last_kept: tuple[int, KeptRecord] | None = None
        self._block: tuple[int, bytes] = (0, b"")

    @property
    def money(self) -> Cost:
        """What was charged by all providers, without attempts that nothing answered."""
        return self._answered(None).money

    @property
    def pictures(self) -> int:
        """Pictures that were ever recorded, whoever made them."""
        return self._answered(None).pictures

    def charges(self, provider: str | None = None) -> Charges:
        """What was charged, with attempts that nothing answered counted as perhaps charged.

        With a `provider` only its kind counts: a simulator's charges are not real ones. What an earlier version
        recorded without its provider counts as either.
        """
        charges = self._answered(provider)
        for sent in self._open.values():
            if provider is None or _kind(sent) in {"", kind_of(provider)}:
                charges.possibly_charged(sent.usd, pictures=len(sent.names))
        return charges

    def cost(self, base: str, number: int) -> float | None:
        """USD of all that was charged for a sample; None where that is what its record says."""
        return self._costs.get(_slot(base, number)) if self._costs else None

    def open_since(self, moment: float) -> set[tuple[str, int]]:
        """Base and number of the samples of attempts that began at `moment` or later and that nothing answered."""
        attempts = (attempt for attempt in self.open.values() if attempt.at >= moment)
        return {(attempt.base, number) for attempt in attempts for number in attempt.numbers}

    def attempts_of(self, key: str) -> int:
        """How many attempts were made for a request that has no result."""
        return self._tries.get(key, 0)

    @property
    def open(self) -> dict[tuple[str, int], OpenAttempt]:
        """The attempts that nothing answered, by key and number of the attempt, the latest last."""
        return {attempt: _open_attempt(record) for attempt, record in self._open.items()}

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; None when nothing is known of it."""
        slot = _slot(base, number)
        place = self._places.get(slot)
        if place is not None:
            return self._outcome(slot, place)
        return "unknown" if slot in self._pending else None

    def is_open(self, base: str, number: int) -> bool:
        """Whether an attempt for a sample may have been charged, and nothing was told of it since."""
        return _slot(base, number) in self._pending

    @property
    def has_open(self) -> bool:
        """Whether there is an attempt that may have been charged, and no result since."""
        return bool(self._pending)

    def tries(self, request: ImageRequest) -> int:
        """How many attempts were made for a request, with or without a result; the next one goes on counting."""
        if request.key in self._tries:
            return self._tries[request.key]
        found = self.details(request.base, request.first)
        return found[1].attempts if found is not None and found[1].key == request.key else 0

    def images_made(self) -> int:
        """Samples whose image was recorded."""
        ok = _NUMBERS["ok"]
        return sum(place & ((1 << _STATUS_BITS) - 1) == ok for place in self._places.values())

    def latest_open_attempt(self, base: str, number: int) -> OpenAttempt | None:
        """The latest attempt for a sample that nothing answered."""
        of_row = [_open_attempt(sent) for sent in self._open.values() if sent.base == base]
        covering = [attempt for attempt in of_row if number in attempt.numbers]
        return covering[-1] if covering else None

    def last_failed(self, base: str, number: int) -> Failed | None:
        """The latest attempt for a sample, where that failed and nothing followed."""
        found = self._failed.get(_slot(base, number))
        if found is None:
            return None
        sent, back = found
        said = back.error or back.kind  # earlier versions kept the kind alone
        return Failed(sent.key, sent.attempt, sent.at, back.at, back.kind, back.status, said)

    def details(self, base: str, number: int) -> tuple[SampleResult, RequestTrace] | None:
        """The recorded result of a sample and how its request went; None when there is none."""
        place = self._places.get(_slot(base, number))
        return None if place is None else self._details(place, number)

    def kept(self, base: str, number: int) -> Mapping[str, Any] | None:
        """What a sample's image was made from, where that is an earlier text of its row."""
        where, index = self._kept.get(_slot(base, number), (-1, 0))
        if where < 0:
            return None
        last = self._last_kept  # a record of its own: it may be long, and results are read in between
        if last is None or last[0] != where:
            last = self._last_kept = (where, kept_at(*self._lies_at(where), self._line(where)))
        return last[1].moves[index].facts

    def settled(self, base: str, number: int) -> tuple[SampleResult, RequestTrace] | None:
        """The same unless a later attempt may have been charged: then, too, what became of the sample is open."""
        slot = _slot(base, number)
        place = self._places.get(slot)
        if place is None or self._outcome(slot, place) == "unknown":
            return None
        return self._details(place, number)

    def max_images_made(self, provider: str | None = None) -> int:
        """Pictures that were made, as far as anyone can know: those of attempts that nothing answered, too."""
        charges = self.charges(provider)
        return charges.pictures + charges.possible_pictures

    def cost_bounds(self, provider: str | None = None) -> Cost:
        """The money with attempts that nothing answered counted as perhaps charged."""
        return self.charges(provider).money

    def fold(self, record: Record, *, where: int) -> None:
        """Take one record into account. `where` is the file number and offset at which it lies."""
        if isinstance(record, SentRecord):
            self._fold_sent(record)
        elif isinstance(record, DoneRecord):
            self._fold_done(record, where)
        elif isinstance(record, BackRecord):
            self._fold_back(record)
        elif isinstance(record, KeptRecord):
            self._fold_kept(record, where)

    def read(self, path: Path) -> None:
        """Fold a ledger file; of one that was read before, what came to it since."""
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
        """Fold all ledger files of `folder` in the order of their names, or what came to them since."""
        for path in ledger_files(folder):
            self.read(path)

    def _outcome(self, slot: bytes, place: int) -> Outcome:
        known = _outcome(place)
        return "unknown" if known != "ok" and slot in self._pending else known

    def _details(self, place: int, number: int) -> tuple[SampleResult, RequestTrace]:
        record = self._record(place >> _STATUS_BITS)
        [found] = [sample for sample in record.samples if sample.number == number]
        return as_sample(found), _trace(record)

    def _fold_sent(self, record: SentRecord) -> None:
        self.attempts += 1
        self._open[record.key, record.attempt] = record
        self._tries[record.key] = record.attempt
        first = record.first
        for number in range(first, first + len(record.names)):
            slot = _slot(record.base, number)
            self._failed.pop(slot, None)
            self._pending[slot] = self._pending.get(slot, 0) + 1

    def _fold_back(self, record: BackRecord) -> None:
        self.refused_429 += record.status == 429
        sent = self._open.pop((record.key, record.attempt), None)
        if sent is None:
            return
        attempt, charges = _open_attempt(sent), self._charges_of(sent)
        self._failed.update((_slot(attempt.base, number), (sent, record)) for number in attempt.numbers)
        usd = record.usd or 0.0  # an answer without a picture that was asked for once more
        charges.money.spent += usd
        for number in attempt.numbers if usd else ():
            self._add_cost(_slot(attempt.base, number), usd / len(attempt.names))
        if record.charged == "maybe":  # its samples stay unknown until a later attempt tells more
            charges.possibly_charged(attempt.usd, pictures=len(attempt.names))
            return
        charges.possible_pictures += len(attempt.names) * (record.charged == "yes")  # they came, and can't be used
        for number in attempt.numbers:
            self._no_longer_pending(_slot(attempt.base, number))

    def _fold_done(self, record: DoneRecord, where: int) -> None:
        charges = self._charges_of(self._open.pop((record.key, record.attempt), None))
        self._tries.pop(record.key, None)
        charges.money.maybe += record.maybe_usd
        charges.lost_attempts += bool(record.maybe_usd)
        for sample in record.samples:
            slot, usd = _slot(record.base, sample.number), sample.cost_usd or 0.0
            self._pending.pop(slot, None)
            self._failed.pop(slot, None)
            charges.money.spent += usd
            if slot in self._costs or slot in self._places:
                self._add_cost(slot, usd)
            if sample.status == "ok":
                charges.pictures += 1
                charges.money.unpriced += sample.cost_is == "unknown"
                self._kept.pop(slot, None)
            elif self._is_ok(slot):
                continue  # a picture that is there is not taken away by a later failure
            self._places[slot] = where << _STATUS_BITS | _NUMBERS[sample.status]

    def _fold_kept(self, record: KeptRecord, where: int) -> None:
        """All moves are made from the state before any of them: rows may have changed places.

        Where facts tell what an image was made from, its row was edited, and the earlier text keeps what it has.
        """
        moves = [
            (_slot(move.source, number), _slot(move.base, number), index)
            for index, move in enumerate(record.moves)
            for number in move.numbers
        ]
        before = [(self._places.get(source), self._kept.get(source)) for source, _, _ in moves]
        left = {source for source, _, index in moves if record.moves[index].prompt is None}
        for source in left.difference(target for _, target, _ in moves):
            self._places.pop(source, None)
            self._kept.pop(source, None)
        for (_, target, index), (place, kept) in zip(moves, before, strict=True):
            self._failed.pop(target, None)
            if place is None:
                self._places.pop(target, None)
                self._kept.pop(target, None)
            else:
                self._places[target] = place
                own = record.moves[index].prompt is not None
                moved = (where, index) if own else kept
                self._kept.pop(target, None)
                self._kept.update({target: moved} if moved else {})

    def _answered(self, provider: str | None) -> Charges:
        """The charges of a provider's kind, and of records without one."""
        kinds = set(self._charges) if provider is None else {"", kind_of(provider)}
        return sum((self._charges[kind] for kind in kinds & set(self._charges)), start=Charges())

    def _charges_of(self, sent: SentRecord | None) -> Charges:
        return self._charges.setdefault(_kind(sent), Charges())

    def _add_cost(self, slot: bytes, usd: float) -> None:
        """A charge for a sample beside the one that its record tells of."""
        if slot not in self._costs:
            place = self._places.get(slot)
            before = 0.0 if place is None else self._recorded_cost(place, slot)
            self._costs[slot] = before
        self._costs[slot] += usd

    def _recorded_cost(self, place: int, slot: bytes) -> float:
        record, number = self._record(place >> _STATUS_BITS), int.from_bytes(slot[-4:], "big")
        return sum(sample.cost_usd or 0.0 for sample in record.samples if sample.number == number)

    def _is_ok(self, slot: bytes) -> bool:
        place = self._places.get(slot)
        return place is not None and _outcome(place) == "ok"

    def _no_longer_pending(self, slot: bytes) -> None:
        if self._pending.get(slot, 0) > 1:
            self._pending[slot] -= 1
        else:
            self._pending.pop(slot, None)

    def _record(self, where: int) -> DoneRecord:
        last = self._last  # any thread may ask, and change it
        if last is None or last[0] != where:  # samples of one request are asked for one after the other
            last = self._last = (where, done_at(*self._lies_at(where), self._line(where)))
        return last[1]

    def _lies_at(self, where: int) -> tuple[Path, int]:
        """The file in which a record lies, and the byte offset there."""
        return self._files[where >> _OFFSET_BITS], where & ((1 << _OFFSET_BITS) - 1)

    def _line(self, where: int) -> bytes:
        at, block = self._block
        start = where - at  # far outside where the block is of another file
        end = block.find(b"\n", start) if 0 <= start < len(block) else -1
        if end < 0:
            self._block = at, block = self._block_around(where)
            start = where - at
            end = block.find(b"\n", start)
        return block[start:end]

    def _block_around(self, where: int) -> tuple[int, bytes]:
        """A part of a ledger file that holds the whole record at `where`, and where it begins."""
        path, offset = self._lies_at(where)
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
    """Whose money it is: a simulator charges nothing."""
    return "simulator" if provider == "simulator" else "real"


def _kind(sent: SentRecord | None) -> str:
    """The kind of provider an attempt was sent to; "" where an earlier version did not record it."""
    return kind_of(sent.provider) if sent is not None and sent.provider else ""


def _slot(base: str, number: int) -> bytes:
    return bytes.fromhex(base[:24]) + number.to_bytes(4, "big")


def _outcome(place: int) -> Outcome:
    return OUTCOMES[place & ((1 << _STATUS_BITS) - 1)]


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
