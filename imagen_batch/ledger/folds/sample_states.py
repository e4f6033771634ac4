"""Keeps the state of each sample in few bytes: an outcome, and the position of its `done` record."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import dataclass

from imagen_batch.ledger.records import BackRecord, KeptRecord, SentRecord
from imagen_batch.records import OUTCOMES, Outcome

_NUMBERS = {outcome: number for number, outcome in enumerate(OUTCOMES)}
_OK = _NUMBERS["ok"]
_STATUS_BITS = 3
_STATUS = (1 << _STATUS_BITS) - 1
_FIRST = b"\0\0\0\1"  # the usual sample number, 1
_fromhex = bytes.fromhex
_KEY, _PREFIX, _SLOT = 32, 12, 16  # bytes
_MANY = 1000  # samples: importing numpy takes longer than so many take without it
_NO_RESULT = _STATUS  # the number of no outcome


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


class SampleStates:
    """The state of each sample of a ledger. A sample is identified by its slot; `position` is that of a record."""

    def __init__(self) -> None:
        self._results: dict[bytes, int] = {}  # position of the `done` record, and the outcome in the last bits
        self._kept: dict[bytes, tuple[int, int]] = {}  # position of its `kept` record, index of the move
        self._unresolved: dict[bytes, int] = {}  # attempts that may have been charged, without a later result
        self._failed: dict[bytes, tuple[SentRecord, BackRecord]] = {}  # the latest attempt without a result

    @property
    def has_unresolved(self) -> bool:
        """Whether any sample is unresolved."""
        return bool(self._unresolved)

    @property
    def images(self) -> int:
        """The number of samples with an image."""
        return sum(result & _STATUS == _OK for result in self._results.values())

    def is_unresolved(self, slot: bytes) -> bool:
        """Whether an attempt for a sample may have been charged, and no result followed."""
        return slot in self._unresolved

    def status(self, slot: bytes) -> Outcome | None:
        """Return the outcome of a sample; None when nothing is known of it."""
        result = self._results.get(slot)
        if slot in self._unresolved and (result is None or result & _STATUS != _OK):
            return "unknown"
        return None if result is None else OUTCOMES[result & _STATUS]

    def has_result(self, slot: bytes) -> bool:
        """Whether a result of a sample is recorded."""
        return slot in self._results

    def position(self, slot: bytes) -> int | None:
        """Return the position of a sample's `done` record; None when there is no result."""
        result = self._results.get(slot)
        return None if result is None else result >> _STATUS_BITS

    def have_images(self, slots: Sequence[bytes]) -> list[bool]:
        """Return for each sample whether it has an image."""
        known = self._results.get
        return [known(slot, _NO_RESULT) & _STATUS == _OK for slot in slots]

    def sole_image_positions(self, slots: Sequence[bytes], *, besides: Collection[bytes]) -> list[int | None]:
        """Return the position of each image; None without one, for an edited row, and for slots in `besides`."""
        known, kept = self._results.get, self._kept
        results = [known(slot, _NO_RESULT) for slot in slots]
        positions = [result >> _STATUS_BITS if result & _STATUS == _OK else None for result in results]
        if not kept and not besides:
            return positions
        marked = ((slot in kept or slot in besides) for slot in slots)
        return [None if is_marked else position for is_marked, position in zip(marked, positions, strict=True)]

    def images_recorded_in(self, records: Container[int]) -> Iterator[tuple[bytes, int]]:
        """Yield slot and position of each sample whose image one of these records has."""
        for slot, result in self._results.items():
            if result & _STATUS == _OK and result >> _STATUS_BITS in records:
                yield slot, result >> _STATUS_BITS

    def kept(self, slot: bytes) -> tuple[int, int] | None:
        """Return the position of a sample's `kept` record and the index of its move; None where no row was edited."""
        return self._kept.get(slot)

    def failed(self, slot: bytes) -> Failed | None:
        """Return the latest attempt for a sample, where it failed and nothing followed."""
        records = self._failed.get(slot)
        if records is None:
            return None
        sent, back = records
        error = back.error or back.kind  # earlier versions recorded the kind alone
        return Failed(sent.key, sent.attempt, sent.at, back.at, back.kind, back.status, error)

    def begin(self, sent: SentRecord) -> None:
        """Add an attempt for some samples: it counts as possibly charged until its end is recorded."""
        first = sent.first
        for number in range(first, first + len(sent.names)):
            slot = slot_of(sent.base, number)
            if self._failed:
                self._failed.pop(slot, None)
            self._unresolved[slot] = self._unresolved.get(slot, 0) + 1

    def fail(self, sent: SentRecord, back: BackRecord) -> None:
        """Record that an attempt ended without a result. If it may have been charged, its samples stay unresolved."""
        for number in sent.numbers:
            slot = slot_of(sent.base, number)
            self._failed[slot] = (sent, back)
            if back.charged == "maybe":
                continue
            if self._unresolved.get(slot, 0) > 1:
                self._unresolved[slot] -= 1
            else:
                self._unresolved.pop(slot, None)

    def finish(self, slot: bytes, status: Outcome, position: int) -> None:
        """Record the result of a sample. A later failure does not remove an image."""
        self._unresolved.pop(slot, None)
        if self._failed:
            self._failed.pop(slot, None)
        if status == "ok":
            self._kept.pop(slot, None)
        elif self._results.get(slot, _NO_RESULT) & _STATUS == _OK:
            return
        self._results[slot] = position << _STATUS_BITS | _NUMBERS[status]

    def move(self, record: KeptRecord, position: int) -> None:
        """Apply all moves to the state before any of them, since rows may have changed places.

        A move with facts about what the image was made from belongs to an edited row; its source keeps the result.
        """
        moves = [
            (slot_of(move.source, number), slot_of(move.base, number), index)
            for index, move in enumerate(record.moves)
            for number in move.numbers
        ]
        before = [(self._results.get(source), self._kept.get(source)) for source, _, _ in moves]
        vacated = {source for source, _, index in moves if record.moves[index].prompt is None}
        for source in vacated.difference(target for _, target, _ in moves):
            self._results.pop(source, None)
            self._kept.pop(source, None)
        for (_, target, index), (result, kept) in zip(moves, before, strict=True):
            self._failed.pop(target, None)
            self._kept.pop(target, None)
            if result is None:
                self._results.pop(target, None)
                continue
            self._results[target] = result
            is_edited = record.moves[index].prompt is not None
            if origin := (position, index) if is_edited else kept:
                self._kept[target] = origin


def slot_of(base: str, number: int) -> bytes:
    """Return 16 bytes that identify a sample."""
    return _fromhex(base[:24]) + (_FIRST if number == 1 else number.to_bytes(4, "big"))


def slots_of(keys: bytes, places: Sequence[int], numbers: Sequence[int]) -> list[bytes]:
    """Return the slots of samples. `places` are those of their rows' keys in `keys`, which has 32 bytes for each."""
    if len(places) < _MANY:
        pairs = zip(places, numbers, strict=True)
        return [keys[at * _KEY : at * _KEY + _PREFIX] + number.to_bytes(4, "big") for at, number in pairs]
    import numpy as np  # noqa: PLC0415 - only for many samples

    slots = np.empty((len(places), _SLOT), dtype=np.uint8)
    slots[:, :_PREFIX] = np.frombuffer(keys, dtype=np.uint8).reshape(-1, _KEY)[np.asarray(places), :_PREFIX]
    slots[:, _PREFIX:] = np.asarray(numbers, dtype=">u4").view(np.uint8).reshape(-1, _SLOT - _PREFIX)
    packed = slots.tobytes()
    return [packed[at : at + _SLOT] for at in range(0, len(packed), _SLOT)]


def number_of(slot: bytes) -> int:
    """Return the sample number of a slot."""
    return int.from_bytes(slot[-4:], "big")
