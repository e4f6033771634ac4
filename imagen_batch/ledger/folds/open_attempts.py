"""Counts attempts, and tracks those without a recorded end."""

from __future__ import annotations

from imagen_batch.ledger.records import BackRecord, DoneRecord, SentRecord


class OpenAttempts:
    """The attempts of a ledger. One is open from its `sent` record to its `back` or `done` record."""

    def __init__(self) -> None:
        self.count = 0
        self.refused_429 = 0
        self.open: dict[tuple[str, int], SentRecord] = {}  # by key and attempt number, the latest last
        self._by_key: dict[str, int] = {}

    def begin(self, sent: SentRecord) -> None:
        """Open an attempt."""
        self.count += 1
        self.open[sent.key, sent.attempt] = sent
        self._by_key[sent.key] = sent.attempt

    def fail(self, back: BackRecord) -> SentRecord | None:
        """Close an attempt without a result; None where it is not open."""
        self.refused_429 += back.status == 429
        return self.open.pop((back.key, back.attempt), None)

    def finish(self, done: DoneRecord) -> SentRecord | None:
        """Close the attempt that returned a result; None where it is not open."""
        self._by_key.pop(done.key, None)
        return self.open.pop((done.key, done.attempt), None)

    def of(self, key: str) -> int | None:
        """Return the number of attempts for a request that has no result; None where there are none."""
        return self._by_key.get(key)

    def since(self, moment: float) -> set[tuple[str, int]]:
        """Return the samples, as (base, number), of open attempts that began at `moment` or later."""
        attempts = (attempt for attempt in self.open.values() if attempt.at >= moment)
        return {(attempt.base, number) for attempt in attempts for number in attempt.numbers}

    def latest(self, base: str, number: int) -> SentRecord | None:
        """Return the latest open attempt for a sample."""
        covering = [sent for sent in self.open.values() if sent.base == base and number in sent.numbers]
        return covering[-1] if covering else None
