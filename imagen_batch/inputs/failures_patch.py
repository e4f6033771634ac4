"""Finds the rows of a folder's input that a failures.csv names, whatever a spreadsheet did to that file.

A line says which row it is about in its last column. A file that an earlier version wrote has no such column: its
lines are found by what stands in them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from imagen_batch.errors import InputInvalid
from imagen_batch.records import Problem, PromptRow
from imagen_batch.reports.failures import MARK, cells_of, mark_of, marked_number

StoredRows = Callable[[], Iterable[PromptRow]]
"""Reads the rows of the folder's input, from the first one on."""


def named_rows(
    patch: Sequence[PromptRow],
    stored: StoredRows,
    *,
    names: Mapping[str, str],
    waiting: frozenset[int],
    marks: Mapping[str, int],
) -> dict[int, PromptRow]:
    """The lines of `patch` by the number of the row that each is about, in the order of the file.

    `names` are the columns of the input by those of the patch, `waiting` the rows that have no image for a sample,
    `marks` those of rows that were patched before: a run that was killed leaves the file as it was.
    Raises InputInvalid for lines that are about no row of the input, or about the same one.
    """
    index = _Index(patch, stored, waiting, marks)
    found: dict[int, PromptRow] = {}
    problems: list[Problem] = []
    for line in patch:
        number = index.alike(line, names) if line.mark is None else index.marked(line.mark)
        if number is None:
            problems.append(_unknown(line))
        elif number in found:
            message = f"is about row {number} of the run, as line {found[number].line} is"
            problems.append(Problem(line.line, MARK, line.mark, message))
        else:
            found[number] = line
    if problems:
        raise InputInvalid(problems)
    return found


class _Index:
    """Finds rows of the input. Holds those that the patch may mean, and no others."""

    def __init__(
        self, patch: Sequence[PromptRow], stored: StoredRows, waiting: frozenset[int], marks: Mapping[str, int]
    ) -> None:
        self._marks = marks
        named = [parts for line in patch if line.mark and (parts := marked_number(line.mark))]
        numbers = {number for number, _ in named}
        self._digests = {row.row: _digest(row) for row in stored() if row.row in numbers}
        moved = {digest for number, digest in named if self._digests.get(number) != digest}
        self._by_digest: defaultdict[str, list[int]] = defaultdict(list)
        for row in stored() if moved else ():
            if (digest := _digest(row)) in moved:
                self._by_digest[digest].append(row.row)
        unmarked = any(line.mark is None for line in patch)
        self._free = {row.row: row for row in stored() if row.row in waiting} if unmarked else {}

    def marked(self, mark: str) -> int | None:
        """The row of a mark: of its number if the content is the same, else the one that has the content now."""
        if mark in self._marks:
            return self._marks[mark]
        parts = marked_number(mark)
        if parts is None:
            return None
        number, digest = parts
        if self._digests.get(number) == digest:
            return number
        same = self._by_digest.get(digest, [])
        return same[0] if len(same) == 1 else None

    def alike(self, line: PromptRow, names: Mapping[str, str]) -> int | None:
        """The row with the same cells, else the one with the same id; each row is taken once."""
        cells = {names[name]: text for name, text in cells_of(line).items()}
        same = [number for number, row in self._free.items() if cells.items() <= cells_of(row).items()]
        if not same and line.id is not None:
            of_id = [number for number, row in self._free.items() if row.id == line.id]
            same = of_id if len(of_id) == 1 else []
        for number in same[:1]:
            del self._free[number]
        return same[0] if same else None


def _digest(row: PromptRow) -> str:
    return mark_of(row).rpartition("-")[2]


def _unknown(line: PromptRow) -> Problem:
    if line.mark:
        message = "names no row of this folder's input: was the file of another run, or the input replaced since?"
    elif line.mark == "":
        message = "is empty: a line here is about a row of the run; new rows belong into your own prompt file"
    else:
        message = (
            f"the file has no column {MARK} and the line is like no row that lacks an image; put the column back"
        )
    return Problem(line.line, MARK, line.mark or None, message)


def rows_of(file_rows: Iterable[PromptRow | Problem]) -> Iterator[PromptRow]:
    """The rows of a file that was found sound."""
    return (row for row in file_rows if isinstance(row, PromptRow))
