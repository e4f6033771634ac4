"""Collects what a user should know about a sheet: its name, hidden rows and merged cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.spreadsheets.cell import Cell, column_letters
from imagen_batch.records import Problem
from imagen_batch.text import did_you_mean, plural

MAX_ROWS: Final = 1_048_576
"""As many as a spreadsheet program has."""
MAX_COLUMNS: Final = 16_384
_LISTED = 5
_MAX_MERGES = 100_000


class MergedCells:
    """Ranges of merged cells that span rows: each of their rows displays the text of the first."""

    def __init__(self, spans: Iterable[tuple[int, int, int, int]] = ()) -> None:
        """Take left column (from 0), top row, bottom row (from 1) and right column of each range."""
        self._spans: dict[int, list[tuple[int, int]]] = {}  # top row -> (left column, bottom row)
        self._open: dict[int, tuple[int, Cell]] = {}  # left column -> bottom row and cell
        self._last = 0
        self.count = 0
        self.first = ""
        for left, top, bottom, right in spans:
            self.add(left, top, bottom, right=right)

    def add(self, left: int, top: int, bottom: int, *, right: int | None = None) -> None:
        """Add a range, unless it has only one row."""
        if bottom <= top or self.count >= _MAX_MERGES:
            return
        self.count += 1
        self.first = (
            self.first or f"{column_letters(left)}{top}:{column_letters(left if right is None else right)}{bottom}"
        )
        self._spans.setdefault(top, []).append((left, min(bottom, MAX_ROWS)))
        self._last = max(self._last, min(bottom, MAX_ROWS))

    def covers(self, row: int) -> bool:
        """Return whether a range that began above reaches into a row."""
        return row <= self._last and any(bottom >= row for bottom, _ in self._open.values())

    def fill(self, row: int, cells: list[Cell]) -> list[Cell]:
        """Return the cells of a row with the texts that ranges from above display in it. Rows come in order."""
        if row > self._last:
            return cells
        self._open = {left: (bottom, cell) for left, (bottom, cell) in self._open.items() if bottom >= row}
        filled = list(cells)
        for left, (_, cell) in self._open.items():
            filled += [Cell("")] * (left + 1 - len(filled))
            if not filled[left].text:
                filled[left] = cell
        for left, bottom in self._spans.get(row, ()):
            if left < len(filled):
                self._open[left] = bottom, filled[left]
        return filled


@dataclass(slots=True)
class SheetNotes:
    """The sheet that is read, the others, and what is not obvious in it."""

    name: str = ""
    names: tuple[str, ...] = ()
    hidden: set[int] = field(default_factory=set)  # row numbers
    merged: MergedCells = field(default_factory=MergedCells)

    def warnings(self, *, chosen: bool) -> list[str]:
        """Return a sentence for each; `chosen` says that the user named the sheet."""
        found = []
        if len(self.names) > 1 and not chosen:
            found.append(f"the file has {len(self.names)} sheets; {self.name!r} is read (--sheet NAME reads another)")
        if self.hidden:
            rows = ", ".join(map(str, sorted(self.hidden)[:_LISTED]))
            more = ", ..." if len(self.hidden) > _LISTED else ""
            found.append(f"{plural(len(self.hidden), 'hidden row')} of the sheet count like any other: {rows}{more}")
        if self.merged.count:
            cells = (
                "cells are merged" if self.merged.count == 1 else f"{self.merged.count:,} ranges of cells are merged"
            )
            found.append(f"{cells} across rows, first {self.merged.first}: each of these rows has their text")
        return found


def choose_sheet(names: Sequence[str], wanted: str | None) -> str:
    """Return the name of the sheet to read. Raises InputInvalid if there is no such sheet."""
    if not names:
        raise InputInvalid([Problem(None, None, None, "the file has no sheet with cells")])
    if wanted is None:
        return names[0]
    same = [name for name in names if name == wanted] or [name for name in names if name.lower() == wanted.lower()]
    if same:
        return same[0]
    listed = ", ".join(map(repr, names[:20]))
    message = f"there is no sheet {wanted!r}{did_you_mean(wanted, names)}; the file has {listed}"
    raise InputInvalid([Problem(None, "--sheet", wanted, message)])
