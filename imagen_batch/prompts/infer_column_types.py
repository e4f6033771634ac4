"""Infers the type of each of the user's columns from all of its cells, which are seen one row at a time.

A column has a type other than text only if every cell that is not empty can be written again from its value exactly
as it was: `7` is a number, `007`, `1e5`, `1.50`, `+1` and `NaN` are text, and one such cell makes the column text.
Memory holds a few bits for each column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

Kind = Literal["text", "int", "decimal", "bool", "date"]

AS_TEXT: Final = frozenset({"split"})
"""Columns that are always text, because their words are names."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """The type of a column.

    `spelling` says how a value is written where that is open: "4" or "4.0" for a whole number among decimals, and
    "true", "True" or "TRUE".
    """

    kind: Kind
    spelling: str = ""


TEXT: Final = ColumnType("text")

# Each form of a cell is a bit. At most 18 digits fit into 64 bits, and at most 15 into a double without loss.
_FORM = re.compile(
    r"(?P<int>0|-?[1-9][0-9]{0,14})|(?P<long>-?[1-9][0-9]{15,17})|(?P<decimal>-?(?:0|[1-9][0-9]{0,14})\.[0-9]{1,15})"
    r"|(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})|(?P<lower>true|false)|(?P<title>True|False)|(?P<upper>TRUE|FALSE)"
).fullmatch
_BITS: Final = {"int": 1, "long": 2, "decimal": 4, "whole": 8, "date": 16, "lower": 32, "title": 64, "upper": 128}
_TYPES: Final = (
    (_BITS["int"] | _BITS["long"], ColumnType("int")),
    (_BITS["decimal"] | _BITS["whole"], ColumnType("decimal", "4.0")),
    (_BITS["decimal"] | _BITS["int"], ColumnType("decimal", "4")),
    (_BITS["date"], ColumnType("date")),
    (_BITS["lower"], ColumnType("bool", "true")),
    (_BITS["title"], ColumnType("bool", "True")),
    (_BITS["upper"], ColumnType("bool", "TRUE")),
)


class ColumnTypes:
    """Collects the forms of the cells of each column."""

    def __init__(self, headers: Sequence[str]) -> None:
        self._headers = tuple(headers)
        self._forms = {header: 0 for header in headers if header.strip().lower() not in AS_TEXT}

    def add(self, cells: Mapping[str, str]) -> None:
        """Add the cells of a row, by header. Columns that are text already are not looked at."""
        for header in list(self._forms) if self._forms else ():
            self._add(header, cells.get(header))

    def add_columns(self, cells: Callable[[str], Iterable[str]]) -> None:
        """Add the cells of many rows. `cells` returns those of a column, each at least once."""
        for header in list(self._forms):
            for cell in cells(header):
                if header not in self._forms:
                    break
                self._add(header, cell)

    def _add(self, header: str, cell: str | None) -> None:
        if not cell:
            return
        forms = self._forms[header]
        more = forms | _form(cell)
        if more == forms:
            return
        if _type_of(more) is None:
            del self._forms[header]
        else:
            self._forms[header] = more

    def types(self) -> dict[str, ColumnType]:
        """Return the type of each column, in order. A column without any cell is text."""
        return {header: _type_of(self._forms.get(header, 0)) or TEXT for header in self._headers}


def _form(cell: str) -> int:
    """Return the bit of a cell's form; a bit that fits no type if the cell is plain text."""
    match = _FORM(cell)
    form = match.lastgroup if match else None
    if form == "decimal":
        number = float(cell)
        form = None if repr(number) != cell else "whole" if number.is_integer() else "decimal"
    elif form == "date" and not _is_date(cell):
        form = None
    return _BITS[form] if form else 256


def _type_of(forms: int) -> ColumnType | None:
    if not forms:
        return None
    return next((type_ for allowed, type_ in _TYPES if forms | allowed == allowed), None)


def _is_date(cell: str) -> bool:
    try:
        date.fromisoformat(cell)
    except ValueError:
        return False
    return True
