"""Reads from the ledger which images a run must have.

There are two views: the ledger's state of each sample of the current input, and all files and lost attempts it ever
recorded, including those of rows that are no longer in the input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from imagen_batch.ledger.folds.open_attempts import OpenAttempts
from imagen_batch.ledger.history import History
from imagen_batch.ledger.reader import read_records
from imagen_batch.ledger.records import BackRecord, DoneRecord, Record, SentRecord
from imagen_batch.ledger.reviews import SampleKey
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Outcome, SampleResult

SampleId = tuple[int, int]
"""A sample of the input, by its row and its number."""


@dataclass(frozen=True, slots=True)
class ExpectedSample:
    """The ledger's state of one sample of the input. `result` is None unless its status is ok."""

    row: int
    number: int
    base: str
    status: Outcome
    result: SampleResult | None = None
    key: str | None = None  # of the request that returned the image

    @property
    def sample_id(self) -> SampleId:
        """Row and sample number, which identify the sample in the manifest."""
        return self.row, self.number


def expected_samples(plan: RunPlan, history: History) -> Iterator[ExpectedSample]:
    """Yield every sample of the input, in order, whatever the state of its file."""
    plan.follow(history)
    for row, (base, samples) in enumerate(plan.index, 1):
        for number in range(1, samples + 1):
            status = history.status(base, number) or "not_attempted"
            rejected = history.reviews.is_rejected(base, number)  # its file may be deleted or changed
            details = history.details(base, number) if status == "ok" and not rejected else None
            if details is None:
                yield ExpectedSample(row, number, base, status)
            else:
                yield ExpectedSample(row, number, base, status, details[0], details[1].key)


@dataclass(slots=True)
class Risk:
    """Attempts for a sample that may have been charged without returning it. `usd` is their worst-case price."""

    attempts: int = 0
    usd: float = 0.0
    unpriced: bool = False


@dataclass(slots=True)
class LedgerTotals:
    """Everything that was ever recorded. Memory grows only with paths, hashes and lost attempts."""

    files: dict[str, bytes] = field(default_factory=dict)  # path below the folder -> recorded SHA-256
    risks: dict[SampleKey, Risk] = field(default_factory=dict)
    _attempts: OpenAttempts = field(default_factory=OpenAttempts)

    def add(self, record: Record) -> None:
        """Add one record."""
        if isinstance(record, SentRecord):
            self._attempts.begin(record)
        elif isinstance(record, BackRecord):
            sent = self._attempts.fail(record)
            if sent is not None and record.charged in {"maybe", "yes"}:
                self._add_risk(sent)
        elif isinstance(record, DoneRecord):
            self._attempts.finish(record)
            for sample in record.samples:
                if sample.status == "ok" and sample.file and sample.sha256:
                    self.files[sample.file] = bytes.fromhex(sample.sha256)
                    self.risks.pop((record.base, sample.number), None)

    def finish(self) -> None:
        """Count every attempt that is still open as lost; call this after the last record."""
        for sent in self._attempts.open.values():
            self._add_risk(sent)
        self._attempts = OpenAttempts()

    def _add_risk(self, sent: SentRecord) -> None:
        for number in sent.numbers:
            risk = self.risks.setdefault((sent.base, number), Risk())
            risk.attempts += 1
            risk.usd += sent.share or 0.0
            risk.unpriced |= sent.usd is None


def read_ledger_totals(ledger: Path) -> LedgerTotals:
    """Add up all files of a ledger. Raises LedgerDamaged."""
    totals = LedgerTotals()
    for record in read_records(ledger):
        totals.add(record)
    totals.finish()
    return totals
