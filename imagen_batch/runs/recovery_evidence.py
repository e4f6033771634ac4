"""Reads from the manifest of the last run whose image a file was: key, sample and checksum."""

from __future__ import annotations

import csv
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_batch.storage import Storage
from imagen_batch.storage.regular_files import irregularity

_COLUMNS: Final = ("file", "key", "sample", "sha256", "status")
_KEY_DIGITS: Final = 64


def read_evidence(storage: Storage, files: Collection[str]) -> dict[str, tuple[str, int, str]]:
    """For each of the files that a manifest names: the whole key, the sample's number and the SHA-256 in hex.

    A manifest that can't be read proves nothing. A file that two rows claim is claimed by none.
    """
    for name, read in (("manifest.parquet", _parquet_rows), ("manifest.csv", _csv_rows)):
        if storage.size(name) is None or irregularity(storage, name):
            continue
        with suppress(OSError, pa.ArrowException, KeyError, ValueError, csv.Error):
            return _claims(read(storage, name), files)
    return {}


def _claims(rows: Iterator[Mapping[str, Any]], files: Collection[str]) -> dict[str, tuple[str, int, str]]:
    claims: dict[str, tuple[str, int, str]] = {}
    twice: set[str] = set()
    for row in rows:
        file, key = row["file"], row["key"]
        if file not in files or row["status"] != "ok" or not key or len(key) != _KEY_DIGITS or not row["sha256"]:
            continue
        twice.update({file} & claims.keys())
        claims[file] = key, int(row["sample"]), row["sha256"]
    return {file: claim for file, claim in claims.items() if file not in twice}


def _parquet_rows(storage: Storage, name: str) -> Iterator[Mapping[str, Any]]:
    with pq.ParquetFile(storage.local(name)) as table:
        for batch in table.iter_batches(columns=list(_COLUMNS)):
            yield from batch.to_pylist()


def _csv_rows(storage: Storage, name: str) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(sys.maxsize)
    with storage.local(name).open(newline="", encoding="utf-8") as text:
        yield from csv.DictReader(text)
