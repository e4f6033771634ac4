"""Finds the encoding in which a spreadsheet saved a failures.csv, from the cells that it did not change.

A guess from a few letters could silently alter prompts. The folder's input has the same cells, so the right encoding
is the one in which most of them are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import PromptFile
from imagen_batch.records import PromptRow
from imagen_batch.reports.tables.failures import original_cells, parse_mark

_CANDIDATES = ("cp1252", "mac_roman", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gb18030", "cp949", "big5")


def find_better_encoding(
    file: PromptFile, stored: Mapping[int, PromptRow], *, reopen: Callable[[str], PromptFile]
) -> str | None:
    """Return the encoding in which more cells equal those of the stored rows; None if the guess is as good."""
    best, most = None, _count_equal_cells(file, stored)
    for encoding in _CANDIDATES:
        try:
            same = _count_equal_cells(reopen(encoding), stored)
        except (InputInvalid, UnicodeError, LookupError):
            continue
        # On a tie the usual encoding of spreadsheets is more likely than a guess from so little text.
        if same > most or (same == most and best is None and encoding == _CANDIDATES[0]):
            best, most = encoding, same
    return best


def _count_equal_cells(file: PromptFile, stored: Mapping[int, PromptRow]) -> int:
    equal = 0
    for row in file.rows():
        if not isinstance(row, PromptRow) or not row.mark:
            continue
        parts = parse_mark(row.mark)
        known = stored.get(parts[0]) if parts else None
        if known is not None:
            cells = original_cells(known)
            equal += sum(cells.get(name) == text for name, text in original_cells(row).items())
    return equal


def marked_rows(file: PromptFile) -> frozenset[int]:
    """Return the row numbers in a file's marks."""
    marks = (parse_mark(row.mark) for row in file.rows() if isinstance(row, PromptRow) and row.mark)
    return frozenset(mark[0] for mark in marks if mark is not None)
