"""Adds up what a ledger charged or may have charged, by the hour.

The sums of a long ledger stay small, as they are kept by the hour. An hour in which a period begins counts as a
whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from imagen_batch.ledger.files import ledger_files
from imagen_batch.ledger.folds.charge_totals import kind_of
from imagen_batch.ledger.folds.open_attempts import OpenAttempts
from imagen_batch.ledger.reader import records_in
from imagen_batch.ledger.records import BackRecord, DoneRecord, SentRecord

HOUR_S = 3600

Hours = dict[str, dict[int, float]]
"""USD by kind of provider ("real", "simulator", "" where it is not known) and hour since 1970."""


def charges_by_hour(folder: Path) -> Hours:
    """Return what the ledger in `folder` charged, with possible charges. Raises LedgerDamaged and OSError."""
    hours: defaultdict[str, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    attempts = OpenAttempts()

    def add(sent: SentRecord | None, usd: float | None, at: float) -> None:
        if usd:
            kind = kind_of(sent.provider) if sent is not None and sent.provider else ""
            hours[kind][int(at // HOUR_S)] += usd

    for path in ledger_files(folder):
        began = _moment_of(path)
        for _, _, record in records_in(path):
            if isinstance(record, SentRecord):
                attempts.begin(record)
            elif isinstance(record, BackRecord):
                sent = attempts.fail(record)
                usd = (record.usd or 0.0) + (sent.usd or 0.0 if sent and record.charged == "maybe" else 0.0)
                add(sent, usd, record.at or (sent.at if sent else began))
            elif isinstance(record, DoneRecord):
                sent = attempts.finish(record)
                usd = record.maybe_usd + sum(sample.cost_usd or 0.0 for sample in record.samples)
                add(sent, usd, record.at or (sent.at if sent else began))
    for sent in attempts.open.values():
        add(sent, sent.usd, sent.at)
    return {kind: dict(by_hour) for kind, by_hour in hours.items()}


def sum_since(hours: Mapping[str, Mapping[int, float]], *, provider: str, moment: float) -> float:
    """Return the USD that count for a kind of provider since `moment`, in seconds since 1970."""
    first = int(moment // HOUR_S)
    kinds = ("", kind_of(provider))
    return sum(usd for kind in kinds for hour, usd in hours.get(kind, {}).items() if hour >= first)


def _moment_of(path: Path) -> float:
    """Return when a ledger file was begun: earlier versions recorded no times."""
    try:
        return float(path.name.partition("-")[0])
    except ValueError:
        return path.stat().st_mtime
