"""Writes a pandas table as the prompt file that it would be, so that both are the same run.

The index is ignored. A missing value is an empty cell, and whole numbers stay whole numbers where pandas holds them
as floats because a value is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Integral, Real
from os import fspath
from typing import TYPE_CHECKING

from imagen_batch.errors import InputInvalid
from imagen_batch.records import Problem
from imagen_batch.text import csv_line, plural

if TYPE_CHECKING:
    import pandas as pd


def table_to_csv(table: pd.DataFrame) -> bytes:
    """Return the CSV in UTF-8. Raises InputInvalid with every column that has cells of other types."""
    if table.columns.nlevels > 1:
        raise InputInvalid([Problem(None, None, None, "the table's columns have several levels; give them one name")])
    names = [str(name) for name in table.columns]
    problems: list[Problem] = []
    columns = [list(_texts(table.iloc[:, at], name, problems)) for at, name in enumerate(names)]
    if problems:
        raise InputInvalid(problems)
    rows = [names, *zip(*columns, strict=True)]
    return "".join(map(csv_line, rows)).encode("utf-8", "surrogatepass")


def _texts(column: pd.Series, name: str, problems: list[Problem]) -> Iterator[str]:
    """Yield each cell as text; `problems` gets one problem if some cells have no text."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415 - takes a second

    values = [value.item() if isinstance(value, np.generic) else value for value in column.astype(object)]
    missing = [pd.api.types.is_scalar(value) and pd.isna(value) for value in values]
    filled = [value for value, is_missing in zip(values, missing, strict=True) if not is_missing]
    whole = bool(filled) and all(map(_is_whole, filled))
    unusable: list[tuple[int, object]] = []
    for row, (value, is_missing) in enumerate(zip(values, missing, strict=True), 1):
        try:
            yield "" if is_missing else _text(int(value) if whole else value)
        except TypeError:
            unusable.append((row, value))
            yield ""
    if unusable:
        problems.append(_describe(name, unusable))


def _describe(name: str, unusable: Sequence[tuple[int, object]]) -> Problem:
    """Return the problem of a column, with its first cell that can't be text."""
    row, value = unusable[0]
    rows = f"row {row}" if len(unusable) == 1 else f"row {row} and {plural(len(unusable) - 1, 'other row')}"
    message = (
        f"expected text, numbers, true or false, or dates in {rows}; convert it with table[{name!r}].astype(str)"
    )
    return Problem(None, name, f"a {type(value).__name__}", message)


def _is_whole(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, Integral) and float(value).is_integer()


def _text(value: object) -> str:
    """Return a value as a cell. Raises TypeError for a list, bytes and other values that are no cell."""
    match value:
        case str() | Decimal():
            return str(value)
        case bool():
            return "true" if value else "false"
        case Integral():
            return str(int(value))
        case Real():
            return repr(float(value))
        case date() | time():
            is_day = isinstance(value, datetime) and value.tzinfo is None and value.time() == time()
            return value.isoformat().partition("T")[0] if is_day else value.isoformat()
    return str(fspath(value))  # type: ignore[call-overload]  # a path; TypeError for anything else
