"""What does the ledger say about each sample, and about the money?

Reads every record of a run's ledger once. Kept per sample is a status and where its `done` record lies; the
details are read back from disk when the manifest is made, so memory stays small.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imagen_batch.ledger_reader import (
    BackRecord,
    DoneRecord,
    Record,
    SentRecord,
    as_sample,
    done_at,
    ledger_files,
    records_in,
)
from imagen_batch.money import Money
from imagen_batch.records import OUTCOMES, ImageRequest, Outcome, Sample, Trace

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


class History:
    """The state of a run, folded from its ledger."""

    def __init__(self) -> None:
        self.money = Money()
        self.attempts = 0
        self.refused_429 = 0
        self.pictures = 0
        self.maybe_pictures = 0  # asked for in attempts that may have been charged
        self._open: dict[tuple[str, int], SentRecord] = {}  # `sent` records
        self._tries: dict[str, int] = {}
        self._files: list[Path] = []
        self._numbers: dict[str, int] = {}  # of files, by their names: no two have the same, wherever they lie
        self._ends: list[int] = []  # how far each was read
        self._places: dict[bytes, int] = {}
        self._pending: dict[bytes, int] = {}
        self._last: tuple[int, DoneRecord] | None = None
        self._block: tuple[int, bytes] = (0, b"")

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

    def attempts_made(self, key: str) -> int:
        """How many attempts were made for a request that has no result."""
        return self._tries.get(key, 0)

    def images_made(self) -> int:
        """Samples whose image was recorded."""
        ok = _NUMBERS["ok"]
        return sum(place & ((1 << _STATUS_BITS) - 1) == ok for place in self._places.values())

    def last_open(self, base: str, number: int) -> OpenAttempt | None:
        """The latest attempt for a sample that nothing answered."""
        of_row = [_open_attempt(sent) for sent in self._open.values() if sent.base == base]
        covering = [attempt for attempt in of_row if number in attempt.numbers]
        return covering[-1] if covering else None

    def details(self, base: str, number: int) -> tuple[Sample, Trace] | None:
        """The recorded result of a sample and how its request went; None when there is none."""
        place = self._places.get(_slot(base, number))
        return None if place is None else self._details(place, number)

    def settled(self, base: str, number: int) -> tuple[Sample, Trace] | None:
        """The same unless a later attempt may have been charged: then, too, what became of the sample is open."""
        slot = _slot(base, number)
        place = self._places.get(slot)
        if place is None or self._outcome(slot, place) == "unknown":
            return None
        return self._details(place, number)

    def pictures_at_most(self) -> int:
        """Pictures that were made, as far as anyone can know: those of attempts that nothing answered, too."""
        return self.pictures + self.maybe_pictures + sum(len(one.names) for one in self.open.values())

    def lost_money(self) -> Money:
        """The money with attempts that nothing answered counted as perhaps charged."""
        money = Money(self.money.spent, self.money.maybe, self.money.unpriced)
        for attempt in self.open.values():
            money.add_maybe(attempt.usd)
        return money

    def fold(self, record: Record, *, where: int) -> None:
        """Take one record into account. `where` is the file number and offset at which it lies."""
        if isinstance(record, SentRecord):
            self._fold_sent(record)
        elif isinstance(record, DoneRecord):
            self._fold_done(record, where)
        elif isinstance(record, BackRecord):
            self._fold_back(record)

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

    def _details(self, place: int, number: int) -> tuple[Sample, Trace]:
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
            self._pending[slot] = self._pending.get(slot, 0) + 1

    def _fold_back(self, record: BackRecord) -> None:
        self.refused_429 += record.status == 429
        sent = self._open.pop((record.key, record.attempt), None)
        if sent is None:
            return
        attempt = _open_attempt(sent)
        self.money.spent += record.usd or 0.0  # an answer without a picture that was asked for once more
        if record.charged == "maybe":  # its samples stay unknown until a later attempt tells more
            self.money.add_maybe(attempt.usd)
            self.maybe_pictures += len(attempt.names)
            return
        for number in attempt.numbers:
            self._no_longer_pending(_slot(attempt.base, number))

    def _fold_done(self, record: DoneRecord, where: int) -> None:
        self._open.pop((record.key, record.attempt), None)
        self._tries.pop(record.key, None)
        self.money.maybe += record.maybe_usd
        for sample in record.samples:
            slot = _slot(record.base, sample.number)
            self._pending.pop(slot, None)
            self.money.spent += sample.cost_usd or 0.0
            if sample.status == "ok":
                self.pictures += 1
                self.money.unpriced += sample.cost_is == "unknown"
            elif self._is_ok(slot):
                continue  # a picture that is there is not taken away by a later failure
            self._places[slot] = where << _STATUS_BITS | _NUMBERS[sample.status]

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
            number, offset = where >> _OFFSET_BITS, where & ((1 << _OFFSET_BITS) - 1)
            last = self._last = (where, done_at(self._files[number], offset, self._line(where)))
        return last[1]

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
        number, offset = where >> _OFFSET_BITS, where & ((1 << _OFFSET_BITS) - 1)
        before = min(_BEFORE, offset)
        with self._files[number].open("rb") as file:
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


def _slot(base: str, number: int) -> bytes:
    return bytes.fromhex(base[:24]) + number.to_bytes(4, "big")


def _outcome(place: int) -> Outcome:
    return OUTCOMES[place & ((1 << _STATUS_BITS) - 1)]


def _open_attempt(record: SentRecord) -> OpenAttempt:
    return OpenAttempt(record.key, record.base, record.first, record.names, record.attempt, record.at, record.usd)


def _trace(record: DoneRecord) -> Trace:
    return Trace(
        key=record.key,
        attempts=record.attempt,
        http_status=record.status,
        latency_s=record.latency,
        sent_at=record.sent_at,
        finished_at=record.at,
    )
