"""Reads from the manifest of the last run which sample a file belongs to: key, sample number and checksum."""

from __future__ import annotations

import csv
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from imagen_batch.storage import Storage
from imagen_batch.storage.irregular_files import irregularity

_COLUMNS: Final = ("file", "key", "sample", "sha256", "status")
_KEY_DIGITS: Final = 64


class Evidence(NamedTuple):
    """What a manifest says of a file."""

    key: str  # 64 hex digits
    number: int
    sha256: str


def read_evidence(storage: Storage, files: Collection[str]) -> dict[str, Evidence]:
    """Return the evidence for each of the files that a manifest names.

    A manifest that can't be read is no evidence, and neither are two rows for the same file.
    """
    import pyarrow as pa  # noqa: PLC0415 - a run that has nothing to recover does not need it

    for name, read in (("manifest.parquet", _parquet_rows), ("manifest.csv", _csv_rows)):
        if storage.size(name) is None or irregularity(storage, name):
            continue
        with suppress(OSError, pa.ArrowException, KeyError, ValueError, csv.Error):
            return _collect(read(storage, name), files)
    return {}


def _collect(rows: Iterator[Mapping[str, Any]], files: Collection[str]) -> dict[str, Evidence]:
    evidence: dict[str, Evidence] = {}
    ambiguous: set[str] = set()
    for row in rows:
        file, key = row["file"], row["key"]
        if file not in files or row["status"] != "ok" or not key or len(key) != _KEY_DIGITS or not row["sha256"]:
            continue
        ambiguous.update({file} & evidence.keys())
        evidence[file] = Evidence(key, int(row["sample"]), row["sha256"])
    return {file: entry for file, entry in evidence.items() if file not in ambiguous}


def _parquet_rows(storage: Storage, name: str) -> Iterator[Mapping[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetFile(storage.local(name)) as table:
        for batch in table.iter_batches(columns=list(_COLUMNS)):
            yield from batch.to_pylist()


def _csv_rows(storage: Storage, name: str) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(sys.maxsize)
    with storage.local(name).open(newline="", encoding="utf-8") as text:
        yield from csv.DictReader(text)
