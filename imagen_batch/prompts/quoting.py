"""Do quotes in this tab-separated file mean anything?

Both habits are common. Spreadsheets and CSV libraries put a cell into quotes when it holds a tab, a line end
or a quote; others write every character as it is, so a cell may begin with a quote and go on after the next.
The file decides as a whole:

* text after a closing quote, or a quote never closed: quotes are plain text;
* else the reading under which fewer rows have a wrong number of cells;
* else (both fit) quotes count only where something shows that they were added: a doubled quote, a quoted
  header, quotes around just those cells that hold a comma (Excel's habit), or, in a file of one column, a
  cell that spans lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from imagen_batch.prompts.tables import Record, Table

_ADDED = re.compile(r'(?:^|\t)"(?:[^"\t]*""|"(?:\t|[\r\n]*$))')  # a doubled quote, or an empty cell in quotes


@dataclass(frozen=True, slots=True)
class _Fit:
    records: int
    misfits: int  # records with another number of cells than the header


def quotes_count(quoted: Table, plain: Table) -> bool:
    """Whether the file is right when read as `quoted`; `plain` is the same file with quotes as text."""
    with_quotes, without = _fit(quoted), _fit(plain)
    if with_quotes is None or without is None:
        return False
    if with_quotes.misfits != without.misfits:
        return with_quotes.misfits < without.misfits
    spanning = with_quotes.records < without.records
    if plain.header != quoted.header or (spanning and len(quoted.header) == 1):
        return True
    return _some_are_doubled(plain) or _they_mark_commas(plain)


def _fit(table: Table) -> _Fit | None:
    """None where a quote has no match."""
    records = misfits = 0
    for record in table.records():
        if not isinstance(record, Record):
            return None
        records += 1
        misfits += len(record.cells) != len(table.header)
    return _Fit(records, misfits)


def _some_are_doubled(plain: Table) -> bool:
    return any('"' in record.text and _ADDED.search(record.text) for record in _records(plain))


def _they_mark_commas(plain: Table) -> bool:
    """Whether quotes stand around every cell that holds a comma, and around no other."""
    found = False
    for record in _records(plain):
        for cell in record.cells:
            around = len(cell) > 1 and cell[0] == cell[-1] == '"'
            if around != ("," in cell):
                return False
            found = found or around
    return found


def _records(table: Table) -> Iterator[Record]:
    return (record for record in table.records() if isinstance(record, Record))
