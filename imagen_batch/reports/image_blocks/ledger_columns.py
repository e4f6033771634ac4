"""Parses `done` records into Arrow columns, without a Python value for each of their fields.

Arrow's parser runs beside Python's threads. Each of these records was checked when the history was read. Whatever
Arrow does not take as a plain record is left to the reader of single records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json

from imagen_batch.records import SampleResult
from imagen_batch.reports.tables.arrow_columns import BOOL, DECIMAL, INT, TEXT

Wanted = tuple[int, int]
"""A sample of a record: the record's index among the lines, and the sample's number."""

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


def parse_records(lines: Sequence[bytes], wanted: Sequence[Wanted]) -> LedgerColumns:
    """Return the wanted samples and the traces of their requests. Raises NotColumnar."""
    data = b"\n".join(lines)
    options = json.ReadOptions(use_threads=False, block_size=len(data) + 1)
    try:
        table = json.read_json(pa.BufferReader(data), read_options=options, parse_options=_PARSE).combine_chunks()
    except pa.ArrowException as error:
        raise NotColumnar(str(error)) from error
    if table.num_rows != len(lines):
        raise NotColumnar("lines and records differ in number")
    lists = table["samples"].chunk(0)
    samples, records = lists.flatten(), lists.value_parent_indices()
    traces = {name: table[in_ledger].chunk(0) for name, (in_ledger, _) in _TRACE.items()}
    columns = dict(zip(_SAMPLE.names, samples.flatten(), strict=True))
    available = list(zip(records.to_pylist(), columns["number"].to_pylist(), strict=True))
    if available == wanted:
        chosen = LedgerColumns(columns, traces)
        return chosen if len(lines) == len(available) else LedgerColumns(columns, _repeat(traces, records))
    chosen_rows = _find(available, wanted)
    return LedgerColumns(columns, _repeat(traces, records)).take(chosen_rows)


def _repeat(traces: Mapping[str, pa.Array], records: pa.Array) -> dict[str, pa.Array]:
    """Return the trace of each sample, from those of the records."""
    return {name: column.take(records) for name, column in traces.items()}


def _find(available: Sequence[Wanted], wanted: Sequence[Wanted]) -> pa.Array:
    positions = {sample: position for position, sample in enumerate(available)}
    if len(positions) != len(available):
        raise NotColumnar("a record has a sample twice")
    try:
        return pa.array([positions[sample] for sample in wanted], type=pa.int64())
    except KeyError as error:
        raise NotColumnar("a record does not have the sample") from error


def is_missing(column: pa.Array) -> pa.Array:
    """Return for each list of texts whether it is empty or null."""
    return pc.fill_null(pc.equal(pc.list_value_length(column), 0), fill_value=True)
