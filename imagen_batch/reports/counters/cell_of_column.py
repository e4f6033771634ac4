"""Finds the cell of a column that the user named, also where the name is written in another case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def find_header(headers: Iterable[str], column: str) -> str | None:
    """Return the header that is the named column; None if there is none."""
    headers = list(headers)
    if column in headers:
        return column
    folded = column.strip().casefold()
    return next((header for header in headers if header.strip().casefold() == folded), None)


def find_cell(cells: Mapping[str, str], column: str) -> str:
    """Return the text in the named column, without the white space around it; empty if there is no such column."""
    header = column if column in cells else find_header(cells, column)
    return "" if header is None else cells[header].strip()
