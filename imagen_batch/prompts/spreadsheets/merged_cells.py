"""Gives each row of merged cells the text that the first of these rows displays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from imagen_batch.prompts.spreadsheets.cell_and_column_letters import EMPTY, MAX_ROWS, Cell, column_letters

_MAX_MERGES: Final = 100_000


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
            filled += [EMPTY] * (left + 1 - len(filled))
            if not filled[left].text:
                filled[left] = cell
        for left, bottom in self._spans.get(row, ()):
            if left < len(filled):
                self._open[left] = bottom, filled[left]
        return filled
