"""Gives the user's columns their types in Parquet, and writes their values as the text that they were.

A field's metadata names its type and spelling, so that a reader of the table finds the user's columns and their text
again. Cells that are empty are null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from imagen_batch.prompts.infer_column_types import TEXT, ColumnType, Kind

MARK: Final = b"imagen_batch.column"
"""The key in a field's metadata; its value is a type and a spelling, such as "bool TRUE"."""

_ARROW: Final[Mapping[Kind, pa.DataType]] = {
    "text": pa.string(),
    "int": pa.int64(),
    "decimal": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
}


def typed_schema(table: pa.Schema, types: Sequence[ColumnType]) -> pa.Schema:
    """Return the schema of the Parquet file for a table whose last columns are the user's, all of them text."""
    own = list(table)[: len(table) - len(types)]
    fields = list(table)[len(own) :]
    return pa.schema([*own, *(_field(field.name, type_) for field, type_ in zip(fields, types, strict=True))])


def with_types(batch: pa.RecordBatch, table: pa.Schema) -> pa.RecordBatch:
    """Return the batch with the columns of `table`, whose marked fields give the user's text its types."""
    arrays = [as_typed(array, field) for array, field in zip(batch.columns, table, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=table)


def as_typed(texts: Any, field: pa.Field) -> Any:
    """Return text (an array, or one in chunks) as the marked field has it; unchanged if the field has no mark."""
    type_ = type_of(field)
    if type_ is None or texts.type != pa.string():
        return texts
    filled = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
    if type_.kind == "bool":
        return pc.equal(filled, type_.spelling)
    try:
        return filled.cast(field.type)
    except pa.ArrowInvalid:  # not the cells that the type was inferred from: a value may be lost here, the table not
        values = [_parse(text, type_.kind) for text in filled.to_pylist()]
        return pa.array(values, field.type)


def type_of(field: pa.Field) -> ColumnType | None:
    """Return the type of a user's column; None for other columns, and in tables of earlier versions."""
    mark = (field.metadata or {}).get(MARK)
    return None if mark is None else _read_mark(mark)


def cell_text(value: object, field: pa.Field | None = None) -> str:
    """Return a value as the text of the cell that it came from; empty for None."""
    if isinstance(value, str):
        return value
    spelling = (type_of(field) or TEXT).spelling if field is not None else ""
    if isinstance(value, bool):
        text = str(value).lower()
        return text if spelling in {"", "true"} else text.upper() if spelling == "TRUE" else text.title()
    if isinstance(value, float) and spelling == "4" and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def _field(name: str, type_: ColumnType) -> pa.Field:
    return pa.field(name, _ARROW[type_.kind], metadata={MARK: f"{type_.kind} {type_.spelling}".strip()})


@lru_cache(maxsize=1024)
def _read_mark(mark: bytes) -> ColumnType | None:
    kind, _, spelling = mark.decode("utf-8", "replace").partition(" ")
    return next((ColumnType(known, spelling) for known in _ARROW if known == kind), None)


def _parse(text: str | None, kind: Kind) -> object:
    parsers: Mapping[Kind, Any] = {"int": int, "decimal": float, "date": date.fromisoformat}
    try:
        value = parsers[kind](text)
    except (TypeError, ValueError):
        return None
    return None if kind == "int" and abs(value) >= 2**63 else value
