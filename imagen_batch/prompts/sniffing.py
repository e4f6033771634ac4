"""How is this table laid out: where is its header, and what parts its cells?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.columns import prompt_position
from imagen_batch.prompts.delimited import Record, Table, line_count
from imagen_batch.records import Problem

_COMMA_FIRST = (",", ";", "\t", "|")
_TAB_FIRST = ("\t", ",", ";", "|")
_SPELLED = {"\\t": "\t", "tab": "\t"}
_EXCEL_HINT = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)


def read_layout(
    path: Path,
    encoding: str,
    *,
    delimiter: str | None,
    tabs: bool,
    prompt_column: str | None,
) -> Table:
    """The table in `path` with its header read; the delimiter comes from the header line alone.

    Of several delimiters that is taken with which the header names a prompt column, then the one that makes
    the most columns; `tabs` prefers tabs where all are alike. Raises InputInvalid where the file is empty or
    the header can't be read.
    """
    with path.open(encoding=encoding, newline="") as file:
        hint = _EXCEL_HINT.fullmatch(file.readline(16))
    if delimiter:
        marks: tuple[str, ...] = (_spelled(delimiter),)
    else:
        marks = (hint[1],) if hint else _TAB_FIRST if tabs else _COMMA_FIRST
    bare = [Table(path, encoding, mark, quoted=True, before=1 if hint else 0) for mark in marks]
    tables = [table for each in bare if (table := _with_header(each))]
    if not any(_names_prompt(table, prompt_column) for table in tables):
        _refuse_bad_quotes(bare)
    if not tables:
        raise InputInvalid([Problem(None, None, None, "the file is empty")])
    best = max(tables, key=lambda table: (_names_prompt(table, prompt_column), len(table.header)))
    return _settled(best) if best.quoted and best.delimiter == "\t" else best


def _spelled(delimiter: str) -> str:
    mark = _SPELLED.get(delimiter.lower(), delimiter)
    if len(mark) != 1 or mark in '"\r\n':
        raise InputInvalid([Problem(None, None, delimiter, "the delimiter must be one character, or tab")])
    return mark


def _with_header(bare: Table) -> Table | None:
    """`bare` past its header; a header whose quotes do not match can only be one of tabs and plain quotes."""
    if table := _past_header(bare):
        return table
    plain = _past_header(replace(bare, quoted=False)) if bare.delimiter == "\t" else None
    return plain if plain and len(plain.header) > 1 else None


def _past_header(bare: Table) -> Table | None:
    first = next(bare.records(), None)
    if not isinstance(first, Record):
        return None
    below = first.line - 1 + line_count(first.text)
    return replace(bare, header=tuple(first.cells), header_line=first.line, before=below)


def _refuse_bad_quotes(bare: list[Table]) -> None:
    for each in bare:
        first = next(each.records(), None)
        if isinstance(first, Problem):
            raise InputInvalid([first])


def _names_prompt(table: Table, prompt_column: str | None) -> bool:
    return prompt_position(table.header, forced=prompt_column) is not None


def _settled(quoted: Table) -> Table:
    plain = _past_header(replace(quoted, quoted=False, before=quoted.header_line - 1))
    return quoted if plain is None or quotes_count(quoted, plain) else plain


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
