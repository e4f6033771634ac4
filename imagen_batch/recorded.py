"""What does the ledger account for?

Two views of it: what it says about each sample of the input as it is now, and which files and which lost
attempts it has ever recorded, also those of rows that are no longer in the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from imagen_batch.errors import SettingsInvalid
from imagen_batch.examine import Examined
from imagen_batch.history import History
from imagen_batch.records import Outcome, Sample

Slot = tuple[str, int]
"""A sample, by its row's base key and its number."""

Place = tuple[int, int]
"""A sample of the input, by its row and its number."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The ledger's word about one sample of the input. `picture` is None unless its status is ok."""

    row: int
    number: int
    base: str
    status: Outcome
    picture: Sample | None = None
    key: str | None = None  # of the request that brought the picture

    @property
    def place(self) -> Place:
        """Row and sample: where it stands in the manifest."""
        return self.row, self.number


def expected(examined: Examined, past: History) -> Iterator[Expected]:
    """Every sample of the input, in order, whatever has become of its file."""
    examined.keep_earlier_texts(past)
    for row, (base, samples) in enumerate(examined.asked, 1):
        for number in range(1, samples + 1):
            status = past.status(base, number) or "not_attempted"
            details = past.details(base, number) if status == "ok" else None
            if details is None:
                yield Expected(row, number, base, status)
            else:
                yield Expected(row, number, base, status, details[0], details[1].key)


@dataclass(slots=True)
class Risk:
    """Attempts for a sample that may have been charged without bringing it. `usd` is their worst case."""

    attempts: int = 0
    usd: float = 0.0
    unpriced: bool = False


@dataclass(slots=True)
class Recorded:
    """All that was ever recorded. Memory grows with paths, hashes and lost attempts only."""

    files: dict[str, bytes] = field(default_factory=dict)  # path below the folder -> SHA-256 of what is there
    risks: dict[Slot, Risk] = field(default_factory=dict)
    _open: dict[tuple[Any, Any], Any] = field(default_factory=dict)

    def fold(self, record: Any) -> None:
        """Take one record into account."""
        attempt = record.get("key"), record.get("attempt")  # a claim is about none
        if record["t"] == "sent":
            self._open[attempt] = record
        elif record["t"] == "back":
            sent = self._open.pop(attempt, None)
            if sent is not None and record["charged"] in ("maybe", "yes"):
                self._lost(sent)
        elif record["t"] == "done":
            self._open.pop(attempt, None)
            for sample in record["samples"]:
                if sample["status"] == "ok":
                    self.files[sample["file"]] = bytes.fromhex(sample["sha256"])
                    self.risks.pop((record["base"], sample["number"]), None)

    def end(self) -> None:
        """There are no more records: what is still open was never answered."""
        for sent in self._open.values():
            self._lost(sent)
        self._open.clear()

    def _lost(self, sent: Any) -> None:
        count = len(sent["names"])
        for number in range(sent["first"], sent["first"] + count):
            risk = self.risks.setdefault((sent["base"], number), Risk())
            risk.attempts += 1
            risk.usd += (sent["usd"] or 0.0) / count
            risk.unpriced |= sent["usd"] is None


def read_recorded(ledger: Path) -> Recorded:
    """Fold all files of a ledger. Raises SettingsInvalid for one with a line that can't be read."""
    recorded = Recorded()
    for record in records(ledger):
        recorded.fold(record)
    recorded.end()
    return recorded


def records(ledger: Path) -> Iterator[Any]:
    """All records in the order they were written; a torn last line was never counted."""
    for path in sorted(ledger.rglob("*.jsonl"), key=lambda path: path.name):
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise SettingsInvalid(f"{path}: line {number} of the ledger is damaged: {error}") from error
