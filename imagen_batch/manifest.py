"""What became of every sample asked for, one row each, as Parquet and as CSV?"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any, BinaryIO, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagen_batch.columns import (
    DECIMAL,
    MOMENT,
    TEXT,
    TRUTH,
    WHOLE,
    Column,
    column,
    moment,
    schema,
    to_batch,
    user_columns,
    values,
)
from imagen_batch.records import Entry, Sample


class Manifest:
    """Writes the same rows into both files. The caller owns the handles."""

    def __init__(self, parquet: BinaryIO, text: TextIO, *, headers: Sequence[str]) -> None:
        self._columns = manifest_columns(headers)
        self._parquet = pq.ParquetWriter(parquet, schema(self._columns), compression="zstd")
        # With \r\n as its line end the writer also quotes cells that hold a lone \r.
        self._csv = csv.writer(text, lineterminator="\r\n")
        self._csv.writerow([column.name for column in self._columns])

    def write(self, entries: Sequence[Entry]) -> None:
        """Add a batch, which becomes one row group."""
        lists = values(entries, self._columns)
        batch = to_batch(lists, self._columns)
        self._parquet.write_batch(batch)
        texts = map(_as_text, lists, batch.columns)
        self._csv.writerows(zip(*texts, strict=True))

    def close(self) -> None:
        """Finish the Parquet file; its handle stays open."""
        self._parquet.close()


def manifest_columns(headers: Sequence[str]) -> tuple[Column, ...]:
    """The manifest's own columns and the user's, in order."""
    return _OWN + user_columns(headers, taken=[column.name for column in _OWN])


def _as_text(cells: list[Any], array: pa.Array) -> list[Any]:
    """How a column stands in the CSV: times in ISO 8601, truth in lower case, all else as it is."""
    if array.type == MOMENT:
        iso: list[Any] = pc.strftime(array.cast(pa.timestamp("ms")), "%Y-%m-%dT%H:%M:%SZ").to_pylist()
        return iso
    if array.type == TRUTH:
        return [None if cell is None else str(cell).lower() for cell in cells]
    return cells


def _codes(sample: Sample) -> str | None:
    return ", ".join(sample.filter_codes) or None


def _known_cost(sample: Sample) -> float | None:
    return None if sample.cost_is == "unknown" else sample.cost_usd


# Names that other programs rely on: add at the end, rename never.
_OWN = (
    column("row", WHOLE, "row.row"),
    column("line", WHOLE, "row.line"),
    column("id", TEXT, "row.id"),
    column("sample", WHOLE, "sample.number"),
    column("status", TEXT, "sample.status"),
    column("file", TEXT, "sample.file"),
    column("prompt", TEXT, "entry.prompt"),
    column("model", TEXT, "entry.model"),
    column("provider", TEXT, "entry.provider"),
    column("dialect", TEXT, "entry.dialect"),
    column("mimeType", TEXT, "sample.mime_type"),
    column("raiFilteredReason", TEXT, "sample.reason"),
    column("filter_stage", TEXT, "sample.filter_stage"),
    column("filter_category", TEXT, "sample.filter_category"),
    Column("filter_codes", TEXT, "sample", _codes),
    column("finishReason", TEXT, "sample.finish_reason"),
    column("safetyAttributes", TEXT, "sample.safety"),
    column("width", WHOLE, "sample.width"),
    column("height", WHOLE, "sample.height"),
    column("bytes", WHOLE, "sample.bytes"),
    column("sha256", TEXT, "sample.sha256"),
    column("c2pa", TRUTH, "sample.c2pa"),
    column("aspect_ratio", TEXT, "options.aspect_ratio"),
    column("image_size", TEXT, "options.image_size"),
    column("person_generation", TEXT, "options.person_generation"),
    column("negative_prompt", TEXT, "options.negative_prompt"),
    column("seed", WHOLE, "options.seed"),
    column("key", TEXT, "trace.key"),
    column("attempts", WHOLE, "trace.attempts"),
    column("http_status", WHOLE, "trace.http_status"),
    column("error", TEXT, "sample.error"),
    column("error_kind", TEXT, "sample.error_kind"),
    column("latency_s", DECIMAL, "trace.latency_s"),
    Column("cost_usd", DECIMAL, "sample", _known_cost),
    column("cost_is", TEXT, "sample.cost_is"),
    moment("sent_at", "sent_at"),
    moment("finished_at", "finished_at"),
)
