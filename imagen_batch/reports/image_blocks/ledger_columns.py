"""Parses `done` records into Arrow columns, without a Python value for each of their fields.

Arrow's parser runs beside Python's threads. Each of these records was checked when the history was read. Whatever
Arrow does not take as a plain record is left to the reader of single records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

from imagen_batch.records import SampleResult
from imagen_batch.reports.tables.arrow_columns import BOOL, DECIMAL, INT, TEXT

_TYPES: Final = {
    "int": INT,
    "int | None": INT,
    "str | None": TEXT,
    "Outcome": TEXT,
    "CostIs | None": TEXT,
    "float | None": DECIMAL,
    "bool | None": BOOL,
    "tuple[str, ...]": pa.list_(TEXT),
}
_SAMPLE: Final = pa.struct([(field.name, _TYPES[str(field.type)]) for field in fields(SampleResult)])

# Name in a trace -> name and type in the ledger.
_TRACE: Final = {
    "key": ("key", TEXT),
    "attempts": ("attempt", INT),
    "http_status": ("status", INT),
    "latency_s": ("latency", DECIMAL),
    "sent_at": ("sent_at", DECIMAL),
    "finished_at": ("at", DECIMAL),
    "model_version": ("model_version", TEXT),
    "response_id": ("response_id", TEXT),
    "prompt_tokens": ("prompt_tokens", INT),
    "output_tokens": ("output_tokens", INT),
    "run_id": ("run_id", TEXT),
}
_RECORD: Final = pa.schema([*_TRACE.values(), ("samples", pa.list_(_SAMPLE))])
_PARSE: Final = json.ParseOptions(explicit_schema=_RECORD, unexpected_field_behavior="ignore")


class NotColumnar(ValueError):
    """A line is not a plain record of the requested samples."""


@dataclass(frozen=True, slots=True)
class LedgerColumns:
    """Recorded results as columns, by the names of the fields of `SampleResult` and `RequestTrace`."""

    samples: Mapping[str, pa.Array]
    traces: Mapping[str, pa.Array]

    def take(self, rows: pa.Array) -> LedgerColumns:
        """Return only these rows."""
        return LedgerColumns(
            {name: column.take(rows) for name, column in self.samples.items()},
            {name: column.take(rows) for name, column in self.traces.items()},
        )


def parse_records(lines: Sequence[bytes], indexes: Sequence[int], numbers: Sequence[int]) -> LedgerColumns:
    """Return samples and the traces of their requests: for each the index of its line, and its number in the record.

    Raises NotColumnar.
    """
    data = b"\n".join(lines)
    options = json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    try:
        table = json.read_json(pa.BufferReader(data), read_options=options, parse_options=_PARSE).combine_chunks()
    except pa.ArrowException as error:
        raise NotColumnar(str(error)) from error
    if table.num_rows != len(lines):
        raise NotColumnar("lines and records differ in number")
    lists = table["samples"].chunk(0)
    records = lists.value_parent_indices()
    samples = dict(zip(_SAMPLE.names, lists.flatten().flatten(), strict=True))
    traces = {name: table[in_ledger].chunk(0) for name, (in_ledger, _) in _TRACE.items()}
    if len(records) > len(lines) or not records.equals(pa.array(range(len(lines)), type=records.type)):
        traces = {name: column.take(records) for name, column in traces.items()}
    columns = LedgerColumns(samples, traces)
    if records.equals(pa.array(indexes, type=records.type)) and samples["number"].equals(pa.array(numbers, type=INT)):
        return columns
    return columns.take(_find(records.to_pylist(), samples["number"].to_pylist(), zip(indexes, numbers, strict=True)))


def _find(records: Sequence[int], numbers: Sequence[int], wanted: Iterable[tuple[int, int]]) -> pa.Array:
    positions = {sample: position for position, sample in enumerate(zip(records, numbers, strict=True))}
    if len(positions) != len(records):
        raise NotColumnar("a record has a sample twice")
    try:
        return pa.array([positions[sample] for sample in wanted], type=pa.int64())
    except KeyError as error:
        raise NotColumnar("a record does not have the sample") from error


def is_missing(column: pa.Array) -> pa.Array:
    """Return for each list of texts whether it is empty or null."""
    return pc.fill_null(pc.equal(pc.list_value_length(column), 0), fill_value=True)
