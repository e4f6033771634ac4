"""Finds the encoding in which a spreadsheet saved a failures.csv, from the cells that it did not change.

A guess from a few letters would alter prompts without a word. The folder's input has the same cells, so the encoding
in which most of them are the same is the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import PromptFile
from imagen_batch.records import PromptRow
from imagen_batch.reports.failures import cells_of, marked_number

_CANDIDATES = ("cp1252", "mac_roman", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "cp949", "big5")


def better_encoding(
    file: PromptFile, stored: Mapping[int, PromptRow], *, reopen: Callable[[str], PromptFile]
) -> str | None:
    """The encoding in which more cells are those of the rows they are about; None where the guess is as good."""
    best, most = None, _same_cells(file, stored)
    for encoding in _CANDIDATES:
        try:
            same = _same_cells(reopen(encoding), stored)
        except (InputInvalid, UnicodeError, LookupError):
            continue
        # A guess for so little text is worth less than what spreadsheets do by default.
        if same > most or (same == most and best is None and encoding == _CANDIDATES[0]):
            best, most = encoding, same
    return best


def _same_cells(file: PromptFile, stored: Mapping[int, PromptRow]) -> int:
    same = 0
    for row in file.rows():
        if not isinstance(row, PromptRow) or not row.mark:
            continue
        parts = marked_number(row.mark)
        known = stored.get(parts[0]) if parts else None
        if known is not None:
            cells = cells_of(known)
            same += sum(cells.get(name) == text for name, text in cells_of(row).items())
    return same


def numbers_in(file: PromptFile) -> frozenset[int]:
    """The rows that the marks of a file name."""
    marks = (marked_number(row.mark) for row in file.rows() if isinstance(row, PromptRow) and row.mark)
    return frozenset(mark[0] for mark in marks if mark is not None)
