"""Writes the rows that are not exported, with their reasons."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from imagen_batch.exports.escaping import excel_safe
from imagen_batch.exports.output.target import Target
from imagen_batch.exports.rows.manifest import rename_clashing
from imagen_batch.exports.rows.selection import LeftOut
from imagen_batch.reports.tables.columns.typed_user_columns import cell_text, type_of

Kind = Literal["parquet", "csv"]

NAME = "left_out"
_BATCH = 500
_BATCH_CHARS = 8_000_000  # prompts may have 150,000 characters each


class RowWriter:
    """Writes manifest rows in batches, as Parquet or as CSV with every text in quotes.

    `safe` keeps a CSV's cells from running as formulas, and adds the mark that Excel needs for UTF-8.
    """

    def __init__(self, handle: BinaryIO, schema: pa.Schema, *, kind: Kind, safe: bool = False) -> None:
        self._schema = schema if kind == "parquet" else _without_lists(schema)
        self._rows: list[dict[str, object]] = []
        self._chars = 0
        self._writer: pq.ParquetWriter | csv.CSVWriter
        if kind == "parquet":
            self._writer = pq.ParquetWriter(handle, schema, compression="zstd")
        else:
            if safe:
                handle.write(codecs.BOM_UTF8)
            options = csv.WriteOptions(eol="\r\n")
            sink = pa.PythonFile(handle, mode="w")
            self._writer = csv.CSVWriter(sink, _file_schema(self._schema, safe=safe), write_options=options)
        self._kind, self._safe = kind, safe

    def write(self, row: dict[str, object]) -> None:
        """Add a row."""
        self._rows.append(row)
        self._chars += len(str(row.get("prompt") or ""))
        if len(self._rows) >= _BATCH or self._chars >= _BATCH_CHARS:
            self._flush()

    def close(self) -> None:
        """Write the remaining rows; the handle stays open."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        rows, self._rows, self._chars = self._rows, [], 0
        if not rows:
            return
        if self._safe:
            rows = [{name: _make_safe(cell) for name, cell in row.items()} for row in rows]
        table = pa.Table.from_pylist(rows, schema=self._schema)
        if self._kind == "csv":
            table = _as_text(table).rename_columns(_file_schema(self._schema, safe=self._safe).names)
        self._writer.write_table(table)


class SideTable:
    """`left_out.parquet` or `left_out.csv`: the manifest's columns, and `left_out` with the reason."""

    def __init__(self, writer: RowWriter, names: Mapping[str, str]) -> None:
        self._writer = writer
        self._names = names  # of the manifest's columns in the table

    def add(self, row: LeftOut) -> None:
        """Add a row."""
        cells = {self._names[name]: cell for name, cell in row.row.items()}
        self._writer.write({**cells, NAME: row.reason})


@contextmanager
def side_table(target: Target, schema: pa.Schema, *, kind: Kind, safe: bool = False) -> Iterator[SideTable]:
    """Yield the table, which is complete when the block ends."""
    names = rename_clashing(schema.names, [NAME])
    whole = pa.schema([*(field.with_name(names[field.name]) for field in schema), pa.field(NAME, pa.string())])
    with (
        target.write(f"{NAME}.{kind}") as handle,
        closing(RowWriter(handle, whole, kind=kind, safe=safe and kind == "csv")) as writer,
    ):
        yield SideTable(writer, names)


def _file_schema(schema: pa.Schema, *, safe: bool) -> pa.Schema:
    types = [pa.string() if _is_time(field.type) or type_of(field) else field.type for field in schema]
    return pa.schema(zip([excel_safe(name) if safe else name for name in schema.names], types, strict=True))


def _make_safe(cell: object) -> object:
    return excel_safe(cell) if isinstance(cell, str) else cell


def _without_lists(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field for field in schema if not pa.types.is_nested(field.type)])


def _as_text(table: pa.Table) -> pa.Table:
    """Return the table for a CSV: times in ISO 8601, the user's cells as they are in the prompt file."""
    for position, field in enumerate(table.schema):
        if _is_time(field.type):
            iso = pc.strftime(table.column(position).cast(pa.timestamp("ms")), "%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(position, field.name, iso)
        elif type_of(field) and field.type != pa.string():
            texts = [
                None if value is None else cell_text(value, field) for value in table.column(position).to_pylist()
            ]
            table = table.set_column(position, field.name, pa.array(texts, pa.string()))
    return table


def _is_time(type_: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(type_))
