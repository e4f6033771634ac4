"""Do quotes in this tab-separated file mean anything?

Both habits are common. Spreadsheets and CSV libraries put a cell into quotes when it holds a tab, a line end
or a quote; others write every character as it is, so a cell may begin with a quote and go on after the next.
The file decides as a whole:

* text after a closing quote, or a quote never closed: quotes are plain text;
* else the reading under which fewer rows have a wrong number of cells;
* else (both fit) quotes count only where something shows that they were added: a doubled quote, a quoted
  header, or, in a file of one column, a cell that spans lines.
"""

from __future__ import annotations

import re
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
    return (
        plain.header != quoted.header or (spanning and len(quoted.header) == 1) or _quotes_were_added(plain)
    )


def _fit(table: Table) -> _Fit | None:
    """None where a quote has no match."""
    records = misfits = 0
    for record in table.records():
        if not isinstance(record, Record):
            return None
        records += 1
        misfits += len(record.cells) != len(table.header)
    return _Fit(records, misfits)


def _quotes_were_added(plain: Table) -> bool:
    records = (record for record in plain.records() if isinstance(record, Record))
    return any('"' in record.text and _ADDED.search(record.text) for record in records)
