"""What does the ledger say about each sample, and about the money?

Reads every record of a run's ledger once. Kept per sample is a status and where its `done` record lies; the
details are read back from disk when the manifest is made, so memory stays small.
"""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from imagen_batch.errors import SettingsInvalid
from imagen_batch.records import OUTCOMES, ImageRequest, Outcome, Sample, Trace

_STATUS_BITS = 3
_OFFSET_BITS = 48


@dataclass(slots=True)
class Money:
    """What the run has cost so far, in USD. `maybe` is what lost replies and kills may have cost on top."""

    spent: float = 0.0
    maybe: float = 0.0
    unpriced: int = 0  # pictures and lost attempts whose price nobody knows

    @property
    def high(self) -> float:
        """The most that can have been charged, as far as prices are known."""
        return self.spent + self.maybe

    def add_maybe(self, usd: float | None) -> None:
        """An attempt that may have been charged, at its worst-case price."""
        self.maybe += usd or 0.0
        self.unpriced += usd is None


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
        self.open: dict[tuple[str, int], OpenAttempt] = {}
        self._tries: dict[str, int] = {}
        self._files: list[Path] = []
        self._maps: dict[int, mmap.mmap] = {}
        self._places: dict[bytes, int] = {}
        self._pending: Counter[bytes] = Counter()
        self._last: tuple[int, Any] = (-1, None)

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; None when nothing is known of it."""
        slot = _slot(base, number)
        place = self._places.get(slot)
        known = None if place is None else _status(place)
        return "unknown" if known != "ok" and slot in self._pending else known

    def tries(self, request: ImageRequest) -> int:
        """How many attempts were made for a request, with or without a result; the next one goes on counting."""
        if request.key in self._tries:
            return self._tries[request.key]
        found = self.details(request.base, request.first)
        return found[1].attempts if found is not None and found[1].key == request.key else 0

    def last_open(self, base: str, number: int) -> OpenAttempt | None:
        """The latest attempt for a sample that nothing answered."""
        covering = [one for one in self.open.values() if one.base == base and number in one.numbers]
        return covering[-1] if covering else None

    def details(self, base: str, number: int) -> tuple[Sample, Trace] | None:
        """The recorded result of a sample and how its request went; None when there is none."""
        place = self._places.get(_slot(base, number))
        if place is None:
            return None
        record = self._record(place >> _STATUS_BITS)
        found = next(sample for sample in record["samples"] if sample["number"] == number)
        return _sample(found), _trace(record)

    def pictures_at_most(self) -> int:
        """Pictures that were made, as far as anyone can know: those of attempts that nothing answered, too."""
        return self.pictures + self.maybe_pictures + sum(len(one.names) for one in self.open.values())

    def lost_money(self) -> Money:
        """The money with attempts that nothing answered counted as perhaps charged."""
        money = Money(self.money.spent, self.money.maybe, self.money.unpriced)
        for attempt in self.open.values():
            money.add_maybe(attempt.usd)
        return money

    def fold(self, record: Any, *, where: int) -> None:
        """Take one record into account. `where` is the file number and offset at which it lies."""
        kind = record["t"]
        if kind == "sent":
            self._fold_sent(_open_attempt(record))
        elif kind == "back":
            self._fold_back(record)
        elif kind == "done":
            self._fold_done(record, where)

    def read(self, path: Path) -> None:
        """Fold a whole ledger file."""
        number = len(self._files)
        self._files.append(path)
        for offset, record in _records(path):
            self.fold(record, where=number << _OFFSET_BITS | offset)

    def _fold_sent(self, attempt: OpenAttempt) -> None:
        self.attempts += 1
        self.open[attempt.key, attempt.attempt] = attempt
        self._tries[attempt.key] = attempt.attempt
        self._pending.update(_slot(attempt.base, number) for number in attempt.numbers)

    def _fold_back(self, record: Any) -> None:
        self.refused_429 += record.get("status") == 429
        attempt = self.open.pop((record["key"], record["attempt"]), None)
        if attempt is None:
            return
        self.money.spent += record.get("usd") or 0.0  # an answer without a picture that was asked for once more
        if record["charged"] == "maybe":  # its samples stay unknown until a later attempt tells more
            self.money.add_maybe(attempt.usd)
            self.maybe_pictures += len(attempt.names)
            return
        for number in attempt.numbers:
            self._no_longer_pending(_slot(attempt.base, number))

    def _fold_done(self, record: Any, where: int) -> None:
        self.open.pop((record["key"], record["attempt"]), None)
        self._tries.pop(record["key"], None)
        self.money.maybe += record.get("maybe_usd", 0.0)
        for sample in record["samples"]:
            self._fold_sample(_slot(record["base"], sample["number"]), sample, where)

    def _fold_sample(self, slot: bytes, sample: Any, where: int) -> None:
        self._pending.pop(slot, None)
        self.money.spent += sample.get("cost_usd", 0.0)
        before = self._places.get(slot)
        if sample["status"] == "ok":
            self.pictures += 1
            self.money.unpriced += sample["cost_is"] == "unknown"
        elif before is not None and _status(before) == "ok":
            return  # a picture that is there is not taken away by a later failure
        self._places[slot] = where << _STATUS_BITS | OUTCOMES.index(sample["status"])

    def _no_longer_pending(self, slot: bytes) -> None:
        if self._pending[slot] > 1:
            self._pending[slot] -= 1
        else:
            self._pending.pop(slot, None)

    def _record(self, where: int) -> Any:
        if self._last[0] != where:  # samples of one request are asked for one after the other
            self._last = (where, orjson.loads(self._line(where)))
        return self._last[1]

    def _line(self, where: int) -> bytes:
        number, offset = where >> _OFFSET_BITS, where & ((1 << _OFFSET_BITS) - 1)
        if number not in self._maps:
            with self._files[number].open("rb") as file:
                self._maps[number] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        data = self._maps[number]
        return data[offset : data.find(b"\n", offset)]


def read_history(folder: Path) -> History:
    """Fold all ledger files of `folder` in the order of their names; an empty history when there are none."""
    history = History()
    for path in sorted(folder.rglob("*.jsonl"), key=lambda path: path.name):
        history.read(path)
    return history


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    offset = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return  # torn by a kill: never counted
            yield offset, _parsed(line, path, offset)
            offset += len(line)


def _parsed(line: bytes, path: Path, offset: int) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise SettingsInvalid(
            f"{path} is damaged at byte {offset}: what stands there was an attempt or its result, and is lost. "
            "Without that line the rest can be read; what it told of counts as not made then"
        ) from error


def _slot(base: str, number: int) -> bytes:
    return bytes.fromhex(base[:24]) + number.to_bytes(4, "big")


def _status(place: int) -> Outcome:
    return OUTCOMES[place & ((1 << _STATUS_BITS) - 1)]


def _open_attempt(record: Any) -> OpenAttempt:
    return OpenAttempt(
        key=record["key"],
        base=record["base"],
        first=record["first"],
        names=tuple(record["names"]),
        attempt=record["attempt"],
        at=record["at"],
        usd=record["usd"],
    )


def _sample(record: Any) -> Sample:
    return Sample(**{**record, "filter_codes": tuple(record.get("filter_codes", ()))})


def _trace(record: Any) -> Trace:
    return Trace(
        key=record["key"],
        attempts=record["attempt"],
        http_status=record["status"],
        latency_s=record["latency"],
        sent_at=record["sent_at"],
        finished_at=record["at"],
    )
