"""Finds the rows of a folder's input that a failures.csv contains, whatever a spreadsheet did to that file.

The last column of a line identifies its row. A file that an earlier version wrote has no such column: its lines are
matched by their content.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from imagen_batch.errors import InputInvalid
from imagen_batch.records import Problem, PromptRow
from imagen_batch.reports.tables.failures import MARK, make_mark, original_cells, parse_mark

StoredRows = Callable[[], Iterable[PromptRow]]
"""Reads the rows of the folder's input, from the first one on."""


def match_rows(
    patch: Sequence[PromptRow],
    stored: StoredRows,
    *,
    names: Mapping[str, str],
    waiting: frozenset[int],
    marks: Mapping[str, int],
) -> dict[int, PromptRow]:
    """Return the lines of `patch` by the row number of each, in the order of the file.

    `names` maps the patch's columns to those of the input. `waiting` are the rows with missing images. `marks` are
    those of rows that were patched before, because a run that was killed leaves the file as it was.
    Raises InputInvalid for lines that match no row of the input, or the same row as another line.
    """
    index = _RowIndex(patch, stored, waiting, marks)
    matched: dict[int, PromptRow] = {}
    problems: list[Problem] = []
    for line in patch:
        number = index.find_by_content(line, names) if line.mark is None else index.find_by_mark(line.mark)
        if number is None:
            problems.append(_unmatched_line(line))
        elif number in matched:
            message = f"belongs to row {number} of the run, as line {matched[number].line} does"
            problems.append(Problem(line.line, MARK, line.mark, message))
        else:
            matched[number] = line
    if problems:
        raise InputInvalid(problems)
    return matched


class _RowIndex:
    """Finds rows of the input. Holds only those that the patch may refer to."""

    def __init__(
        self, patch: Sequence[PromptRow], stored: StoredRows, waiting: frozenset[int], marks: Mapping[str, int]
    ) -> None:
        self._marks = marks
        named = [parts for line in patch if line.mark and (parts := parse_mark(line.mark))]
        numbers = {number for number, _ in named}
        self._digests = {row.row: _digest(row) for row in stored() if row.row in numbers}
        moved = {digest for number, digest in named if self._digests.get(number) != digest}
        self._by_digest: defaultdict[str, list[int]] = defaultdict(list)
        for row in stored() if moved else ():
            if (digest := _digest(row)) in moved:
                self._by_digest[digest].append(row.row)
        unmarked = any(line.mark is None for line in patch)
        self._free = {row.row: row for row in stored() if row.row in waiting} if unmarked else {}

    def find_by_mark(self, mark: str) -> int | None:
        """Return the row with the mark's number if its content is the same, else the only row with the content."""
        if mark in self._marks:
            return self._marks[mark]
        parts = parse_mark(mark)
        if parts is None:
            return None
        number, digest = parts
        if self._digests.get(number) == digest:
            return number
        rows = self._by_digest.get(digest, [])
        return rows[0] if len(rows) == 1 else None

    def find_by_content(self, line: PromptRow, names: Mapping[str, str]) -> int | None:
        """Return the row with the same cells, else the one with the same id. Each row is returned once."""
        cells = {names[name]: text for name, text in original_cells(line).items()}
        same = [number for number, row in self._free.items() if cells.items() <= original_cells(row).items()]
        if not same and line.id is not None:
            same_id = [number for number, row in self._free.items() if row.id == line.id]
            same = same_id if len(same_id) == 1 else []
        for number in same[:1]:
            del self._free[number]
        return same[0] if same else None


def _digest(row: PromptRow) -> str:
    return make_mark(row).rpartition("-")[2]


def _unmatched_line(line: PromptRow) -> Problem:
    if line.mark:
        message = "matches no row of this folder's input; the file may be of another run, or the input was replaced"
    elif line.mark == "":
        message = "is empty. Each line here belongs to a row of the run; add new rows to your own prompt file"
    else:
        message = f"there is no column {MARK}, and the line matches no row with a missing image. Restore the column"
    return Problem(line.line, MARK, line.mark or None, message)


def only_rows(file_rows: Iterable[PromptRow | Problem]) -> Iterator[PromptRow]:
    """Yield the rows of a file that is known to have no problems."""
    return (row for row in file_rows if isinstance(row, PromptRow))
