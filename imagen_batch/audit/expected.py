"""What does the ledger account for?

Two views of it: what it says about each sample of the input as it is now, and which files and which lost
attempts it has ever recorded, also those of rows that are no longer in the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from imagen_batch.ledger.history import History
from imagen_batch.ledger.reader import BackRecord, DoneRecord, Record, SentRecord, read_records
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Outcome, SampleResult

Slot = tuple[str, int]
"""A sample, by its row's base key and its number."""

SampleId = tuple[int, int]
"""A sample of the input, by its row and its number."""


@dataclass(frozen=True, slots=True)
class ExpectedSample:
    """The ledger's word about one sample of the input. `picture` is None unless its status is ok."""

    row: int
    number: int
    base: str
    status: Outcome
    picture: SampleResult | None = None
    key: str | None = None  # of the request that brought the picture

    @property
    def place(self) -> SampleId:
        """Row and sample: where it stands in the manifest."""
        return self.row, self.number


def expected_samples(plan: RunPlan, past: History) -> Iterator[ExpectedSample]:
    """Every sample of the input, in order, whatever has become of its file."""
    plan.keep_earlier_texts(past)
    for row, (base, samples) in enumerate(plan.asked, 1):
        for number in range(1, samples + 1):
            status = past.status(base, number) or "not_attempted"
            details = past.details(base, number) if status == "ok" else None
            if details is None:
                yield ExpectedSample(row, number, base, status)
            else:
                yield ExpectedSample(row, number, base, status, details[0], details[1].key)


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
    _open: dict[tuple[str, int], SentRecord] = field(default_factory=dict)

    def fold(self, record: Record) -> None:
        """Take one record into account."""
        if isinstance(record, SentRecord):
            self._open[record.key, record.attempt] = record
        elif isinstance(record, BackRecord):
            sent = self._open.pop((record.key, record.attempt), None)
            if sent is not None and record.charged in {"maybe", "yes"}:
                self._lost(sent)
        elif isinstance(record, DoneRecord):
            self._open.pop((record.key, record.attempt), None)
            for sample in record.samples:
                if sample.status == "ok" and sample.file and sample.sha256:
                    self.files[sample.file] = bytes.fromhex(sample.sha256)
                    self.risks.pop((record.base, sample.number), None)

    def end(self) -> None:
        """There are no more records: what is still open was never answered."""
        for sent in self._open.values():
            self._lost(sent)
        self._open.clear()

    def _lost(self, sent: SentRecord) -> None:
        count = len(sent.names)
        for number in range(sent.first, sent.first + count):
            risk = self.risks.setdefault((sent.base, number), Risk())
            risk.attempts += 1
            risk.usd += (sent.usd or 0.0) / count
            risk.unpriced |= sent.usd is None


def read_recorded(ledger: Path) -> Recorded:
    """Fold all files of a ledger. Raises LedgerDamaged."""
    recorded = Recorded()
    for record in read_records(ledger):
        recorded.fold(record)
    recorded.end()
    return recorded
