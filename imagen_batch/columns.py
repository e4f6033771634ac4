"""How does a batch of entries become typed columns?

A table is a list of `Column`s. Values are taken column by column, not row by row: for a million rows that is
the difference between seconds and minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

import pyarrow as pa

from imagen_batch.records import Entry

Part = Literal["entry", "row", "sample", "trace", "options"]

TEXT = pa.string()
WHOLE = pa.int64()
DECIMAL = pa.float64()
TRUTH = pa.bool_()
MOMENT = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and type, and how its value is taken from one part of an entry."""

    name: str
    type: pa.DataType
    part: Part
    take: Callable[[Any], object]


def column(name: str, type_: pa.DataType, path: str) -> Column:
    """A column that holds an attribute as it is. `path` is part and attribute: "sample.mime_type"."""
    part, attribute = path.split(".")
    return Column(name, type_, part, attrgetter(attribute))  # type: ignore[arg-type]


def moment(name: str, attribute: str) -> Column:
    """A column of times, kept in the trace as seconds since the epoch."""
    take = attrgetter(attribute)

    def milliseconds(trace: object) -> int | None:
        seconds = take(trace)
        return None if seconds is None else round(seconds * 1000)

    return Column(name, MOMENT, "trace", milliseconds)


def user_columns(
    headers: Sequence[str], *, taken: Iterable[str], named: Callable[[str], str] = str
) -> tuple[Column, ...]:
    """The user's own columns as text, each under its header, with `input_` before it where that is taken."""
    names = set(taken)
    columns = []
    for header in headers:
        name = named(header)
        while name in names:
            name = f"input_{name}"
        names.add(name)
        columns.append(Column(name, TEXT, "row", _cell(header)))
    return tuple(columns)


def schema(columns: Sequence[Column]) -> pa.Schema:
    """The table's names and types, which hold also for a column without any value."""
    return pa.schema([(column.name, column.type) for column in columns])


def values(entries: Sequence[Entry], columns: Sequence[Column]) -> list[list[Any]]:
    """One list per column, in the order of the entries."""
    parts: dict[Part, Sequence[object]] = {
        "entry": entries,
        "row": [entry.row for entry in entries],
        "sample": [entry.sample for entry in entries],
        "trace": [entry.trace for entry in entries],
        "options": [entry.options for entry in entries],
    }
    return [list(map(column.take, parts[column.part])) for column in columns]


def to_batch(lists: Sequence[list[Any]], columns: Sequence[Column]) -> pa.RecordBatch:
    """The same values as Arrow arrays of the columns' types."""
    arrays = [pa.array(cells, type=column.type) for cells, column in zip(lists, columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(columns))


def _cell(header: str) -> Callable[[Any], object]:
    return lambda row: row.user.get(header)
