"""Writes the manifest: one row for every requested sample, as Parquet and as CSV."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BufferedIOBase
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from imagen_batch.records import ManifestRow, Options, SampleResult
from imagen_batch.reports.tables.arrow_columns import (
    BOOL,
    DECIMAL,
    INT,
    TEXT,
    TIMESTAMP,
    Column,
    column,
    user_columns,
)
from imagen_batch.reports.tables.columns.iso_times import to_iso
from imagen_batch.reports.tables.columns.safety_ratings import RATINGS, safety_ratings
from imagen_batch.text import FORMULA


class Manifest:
    """Writes the same rows into both files. The caller owns the handles.

    `table` is the schema of the Parquet file. `text` is that of the CSV: the user's columns are text, and lists are
    left out.
    """

    def __init__(
        self,
        parquet: BinaryIO | BufferedIOBase,
        csv_: BinaryIO | BufferedIOBase,
        *,
        table: pa.Schema,
        text: pa.Schema,
    ) -> None:
        self._parquet = pq.ParquetWriter(parquet, table, compression="zstd")
        plain = [(column.name, TEXT if column.type == TIMESTAMP else column.type) for column in text]
        in_csv = pa.schema([field for field in plain if not pa.types.is_nested(field[1])])
        self._csv = csv.CSVWriter(pa.PythonFile(csv_, mode="w"), in_csv, write_options=_CSV)

    def write(self, batch: pa.RecordBatch, typed: pa.RecordBatch) -> None:
        """Add rows, which become one row group. `typed` are the same rows as Parquet has them."""
        self._parquet.write_batch(typed)
        self._csv.write_batch(_as_csv(batch))

    def close(self) -> None:
        """Finish both files; their handles stay open."""
        self._parquet.close()
        self._csv.close()


def manifest_columns(headers: Sequence[str]) -> tuple[Column, ...]:
    """Return the manifest's own columns and the user's, in order."""
    return _OWN + user_columns(headers, taken=[column.name for column in _OWN])


_DIGEST = re.compile(r"[0-9a-f]{64}")

# Every text is quoted, whatever it contains; an empty cell without quotes is None.
_CSV = csv.WriteOptions(eol="\r\n")


def _as_csv(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the batch for the CSV: times in ISO 8601, formulas in the service's texts disarmed."""
    for index, field in enumerate(batch.schema):
        if field.type == TIMESTAMP:
            batch = batch.set_column(index, field.name, to_iso(batch.column(index)))
        elif index < len(_OWN) and field.name in _SERVICE_TEXT:
            batch = batch.set_column(index, field.name, _without_formulas(batch.column(index)))
    return batch.select([index for index, type_ in enumerate(batch.schema.types) if not pa.types.is_nested(type_)])


def _without_formulas(texts: pa.Array) -> pa.Array:
    """Return the texts, with an apostrophe in front of those that a spreadsheet would calculate."""
    formulas = pc.match_substring_regex(texts, FORMULA)
    if not pc.any(formulas).as_py():
        return texts
    return pc.if_else(formulas, pc.binary_join_element_wise("'", texts, ""), texts)


def _codes(sample: SampleResult) -> str | None:
    return ", ".join(sample.filter_codes) or None


def _warnings(sample: SampleResult) -> str | None:
    return ";".join(sample.warnings) or None


def _references(entry: ManifestRow) -> str | None:
    return ";".join(entry.references) or None


def _reference_digests(options: Options) -> str | None:
    """Return the SHA-256 of each reference image, empty for one that the service read itself."""
    digests = (each if _DIGEST.fullmatch(each) else "" for each in options.references or ())
    return ";".join(digests) or None


# Columns that may contain text from the service. The user's own text stays exactly as it is.
_SERVICE_TEXT = frozenset(
    {
        "raiFilteredReason",
        "filter_stage",
        "filter_category",
        "filter_codes",
        "finishReason",
        "safetyAttributes",
        "error",
        "model_version",
        "response_id",
    }
)

# Other programs rely on these names: never rename one, and add new ones at the end of _LATER.
_FIRST = (
    column("row", INT, "row.row"),
    column("line", INT, "row.line"),
    column("id", TEXT, "row.id"),
    column("sample", INT, "sample.number"),
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
    column("width", INT, "sample.width"),
    column("height", INT, "sample.height"),
    column("bytes", INT, "sample.bytes"),
    column("sha256", TEXT, "sample.sha256"),
    column("c2pa", BOOL, "sample.c2pa"),
    column("aspect_ratio", TEXT, "options.aspect_ratio"),
    column("image_size", TEXT, "options.image_size"),
    column("person_generation", TEXT, "options.person_generation"),
    column("negative_prompt", TEXT, "options.negative_prompt"),
    column("seed", INT, "options.seed"),
    column("key", TEXT, "trace.key"),
    column("attempts", INT, "trace.attempts"),
    column("http_status", INT, "trace.http_status"),
    column("error", TEXT, "sample.error"),
    column("error_kind", TEXT, "sample.error_kind"),
    column("latency_s", DECIMAL, "trace.latency_s"),
    column("cost_usd", DECIMAL, "entry.cost_usd"),
    column("cost_is", TEXT, "sample.cost_is"),
    column("sent_at", TIMESTAMP, "trace.sent_at"),
    column("finished_at", TIMESTAMP, "trace.finished_at"),
)

_LATER = (
    column("input_prompt", TEXT, "row.input_prompt"),
    column("version", INT, "entry.version"),
    column("review", TEXT, "entry.review"),
    Column("warnings", TEXT, "sample", _warnings),
    Column("references", TEXT, "entry", _references),
    Column("references_sha256", TEXT, "options", _reference_digests),
    column("model_version", TEXT, "trace.model_version"),
    column("response_id", TEXT, "trace.response_id"),
    column("prompt_tokens", INT, "trace.prompt_tokens"),
    column("output_tokens", INT, "trace.output_tokens"),
    column("run_id", TEXT, "trace.run_id"),
    Column("safety_ratings", RATINGS, "sample", safety_ratings),
)

_OWN = _FIRST + _LATER

LATER_COLUMNS = frozenset(column.name for column in _LATER)
"""Columns that the first version did not write, so that a table of an earlier run may not have them."""
