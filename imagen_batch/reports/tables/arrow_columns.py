"""Turns a batch of manifest rows into typed Arrow columns.

A table is a list of `Column`s. Values are read column by column, not row by row: for a million rows that is the
difference between seconds and minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from imagen_batch.records import ManifestRow

Part = Literal["entry", "row", "sample", "trace", "options"]

TEXT = pa.string()
INT = pa.int64()
DECIMAL = pa.float64()
BOOL = pa.bool_()
TIMESTAMP = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and type, and how its value is read from one part of a manifest row."""

    name: str
    type: pa.DataType
    part: Part
    take: Callable[[Any], object]
    attribute: str | None = None  # of the part, where the value is just that
    header: str | None = None  # of a column of the user's


def column(name: str, type_: pa.DataType, path: str) -> Column:
    """Return a column that holds an attribute as it is. `path` is part and attribute: "sample.mime_type".

    The attribute of a timestamp column is in seconds since the epoch.
    """
    part, attribute = path.split(".")
    return Column(name, type_, part, attrgetter(attribute), attribute)  # type: ignore[arg-type]


def user_columns(
    headers: Sequence[str], *, taken: Iterable[str], named: Callable[[str], str] = str
) -> tuple[Column, ...]:
    """Return the user's own columns as text, each under its header, prefixed with `input_` if that name is taken."""
    names = set(taken)
    columns = []
    for header in headers:
        name = named(header)
        while name in names:
            name = f"input_{name}"
        names.add(name)
        columns.append(Column(name, TEXT, "row", _user_cell(header), header=header))
    return tuple(columns)


def schema(columns: Sequence[Column]) -> pa.Schema:
    """Return the table's names and types, which also hold for a column without any value."""
    return pa.schema([(column.name, column.type) for column in columns])


def to_batch(entries: Sequence[ManifestRow], columns: Sequence[Column]) -> pa.RecordBatch:
    """Return the rows as Arrow arrays of the columns' types, in the columns' order."""
    parts: dict[Part, Sequence[Any]] = {
        "entry": entries,
        "row": [entry.row for entry in entries],
        "sample": [entry.sample for entry in entries],
        "trace": [entry.trace for entry in entries],
        "options": [entry.options for entry in entries],
    }
    arrays = [to_array(list(map(column.take, parts[column.part])), column.type) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(columns))


def to_array(cells: list[Any], type_: pa.DataType) -> pa.Array:
    """Return Python values as an array. Those of a timestamp are in seconds since the epoch."""
    if type_ != TIMESTAMP:
        return pa.array(cells, type=type_)
    return to_timestamps(pa.array(cells, type=DECIMAL))


def to_timestamps(seconds: pa.Array) -> pa.Array:
    """Return seconds since the epoch as timestamps."""
    return pc.round(pc.multiply(seconds, 1000.0)).cast(pa.int64()).cast(TIMESTAMP)


def _user_cell(header: str) -> Callable[[Any], object]:
    return lambda row: row.user.get(header)
