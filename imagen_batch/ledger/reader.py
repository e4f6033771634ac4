"""Reads the ledger's records in the order in which they were written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from imagen_batch.ledger.damage import damage_at, is_skipped
from imagen_batch.ledger.files import ledger_files
from imagen_batch.ledger.parsing import parse
from imagen_batch.ledger.records import Record


def read_records(folder: Path) -> Iterator[Record]:
    """Yield all records of a ledger. Raises LedgerDamaged for a line that is not a record."""
    for path in ledger_files(folder):
        for _, _, record in records_in(path):
            yield record


def records_in(path: Path, start: int = 0) -> Iterator[tuple[int, int, Record]]:
    """Yield the records of a file from a byte offset on, as (begin, end, record).

    A last line without a line end was cut off by a kill and does not count. Raises LedgerDamaged.
    """
    offset = start
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n"):
                return
            end = offset + len(line)
            record = parse(line)
            if isinstance(record, str):
                if not is_skipped(path, offset, line):
                    raise damage_at(path, offset, record)
            else:
                yield offset, end, record
            offset = end
