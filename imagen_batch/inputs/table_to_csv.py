"""Writes a pandas table as the prompt file that it would be, so that both are the same run.

The index is ignored. A missing value is an empty cell, and whole numbers stay whole numbers where pandas holds them
as floats because a value is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from numbers import Integral, Real
from os import fspath
from typing import TYPE_CHECKING

from imagen_batch.errors import InputInvalid
from imagen_batch.records import Problem
from imagen_batch.text import csv_line

if TYPE_CHECKING:
    import pandas as pd

_MAX_PROBLEMS = 100


def table_to_csv(table: pd.DataFrame) -> bytes:
    """Return the CSV in UTF-8. Raises InputInvalid with every cell that is neither text nor a plain value."""
    if table.columns.nlevels > 1:
        raise InputInvalid([Problem(None, None, None, "the table's columns have several levels; give them one name")])
    names = [str(name) for name in table.columns]
    problems: list[Problem] = []
    columns = [list(_texts(table.iloc[:, at], name, problems)) for at, name in enumerate(names)]
    if problems:
        raise InputInvalid(sorted(problems, key=lambda problem: problem.line or 0)[:_MAX_PROBLEMS])
    rows = [names, *zip(*columns, strict=True)]
    return "".join(map(csv_line, rows)).encode("utf-8", "surrogatepass")


def _texts(column: pd.Series, name: str, problems: list[Problem]) -> Iterator[str]:
    """Yield each cell as text; `problems` gets those that are none."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415 - takes a second

    values = [value.item() if isinstance(value, np.generic) else value for value in column.astype(object)]
    missing = [pd.api.types.is_scalar(value) and pd.isna(value) for value in values]
    filled = [value for value, is_missing in zip(values, missing, strict=True) if not is_missing]
    whole = bool(filled) and all(map(_is_whole, filled))
    for row, (value, is_missing) in enumerate(zip(values, missing, strict=True), 1):
        try:
            yield "" if is_missing else _text(int(value) if whole else value)
        except TypeError:
            found = f"a {type(value).__name__}"
            problems.append(Problem(row + 1, name, found, "expected text, a number, true or false, or a date"))
            yield ""


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
