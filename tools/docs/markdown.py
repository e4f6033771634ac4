"""Reads and writes tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def cells_below(page: str, header: str) -> list[list[str]]:
    """Return the cells of each row of the table with `header`, written as "column | meaning"."""
    _, found, below = page.partition(f"\n| {header} |\n")
    if not found:
        raise ValueError(f"there is no table with the header {header!r}")
    lines = below.split("\n\n")[0].splitlines()[1:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]] for line in lines]


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. A vertical bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def code(text: str) -> str:
    """Return text between backquotes."""
    return f"`{text}`"
