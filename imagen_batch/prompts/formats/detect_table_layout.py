"""Finds the layout of a table: its header, its delimiter, and whether quotes are syntax."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts.column_roles import prompt_position
from imagen_batch.prompts.formats.delimited import Record, Table, count_lines
from imagen_batch.records import Problem

_COMMA_FIRST = (",", ";", "\t", "|")
_TAB_FIRST = ("\t", ",", ";", "|")
_DELIMITER_NAMES = {"\\t": "\t", "tab": "\t"}
_EXCEL_HINT = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)


def read_layout(
    path: Path,
    encoding: str,
    *,
    delimiter: str | None,
    tabs: bool,
    prompt_column: str | None,
) -> Table:
    """Return the table in `path` with its header; the delimiter follows from the header line alone.

    The best delimiter is one with which the header names a prompt column, then the one that makes most columns.
    `tabs` prefers tabs among equals. Raises InputInvalid if the file is empty or the header can't be read.
    """
    with path.open(encoding=encoding, newline="") as file:
        hint = _EXCEL_HINT.fullmatch(file.readline(16))
    if delimiter:
        marks: tuple[str, ...] = (_parse_delimiter(delimiter),)
    else:
        marks = (hint[1],) if hint else _TAB_FIRST if tabs else _COMMA_FIRST
    candidates = [Table(path, encoding, mark, quoted=True, before=1 if hint else 0) for mark in marks]
    tables = [table for each in candidates if (table := _with_header(each))]
    if not any(_names_prompt(table, prompt_column) for table in tables):
        _refuse_bad_quotes(candidates)
    if not tables:
        raise InputInvalid([Problem(None, None, None, "the file is empty")])
    best = max(tables, key=lambda table: (_names_prompt(table, prompt_column), len(table.header)))
    return _without_needless_quotes(best) if best.quoted and best.delimiter == "\t" else best


def _parse_delimiter(delimiter: str) -> str:
    mark = _DELIMITER_NAMES.get(delimiter.lower(), delimiter)
    if len(mark) != 1 or mark in '"\r\n':
        raise InputInvalid([Problem(None, None, delimiter, "the delimiter must be one character, or tab")])
    return mark


def _with_header(bare: Table) -> Table | None:
    """Read the header. If its quotes do not match, it can only be one with tabs in which quotes are text."""
    if table := _read_header(bare):
        return table
    plain = _read_header(replace(bare, quoted=False)) if bare.delimiter == "\t" else None
    return plain if plain and len(plain.header) > 1 else None


def _read_header(bare: Table) -> Table | None:
    first = next(bare.records(), None)
    if not isinstance(first, Record):
        return None
    below = first.line - 1 + count_lines(first.text)
    return replace(bare, header=tuple(first.cells), header_line=first.line, before=below)


def _refuse_bad_quotes(candidates: list[Table]) -> None:
    for each in candidates:
        first = next(each.records(), None)
        if isinstance(first, Problem):
            raise InputInvalid([first])


def _names_prompt(table: Table, prompt_column: str | None) -> bool:
    return prompt_position(table.header, forced=prompt_column) is not None


def _without_needless_quotes(quoted: Table) -> Table:
    plain = _read_header(replace(quoted, quoted=False, before=quoted.header_line - 1))
    return quoted if plain is None or quotes_are_syntax(quoted, plain) else plain


_QUOTING = re.compile(r'(?:^|\t)"(?:[^"\t]*""|"(?:\t|[\r\n]*$))')  # a doubled quote, or an empty cell in quotes


@dataclass(frozen=True, slots=True)
class _Widths:
    records: int
    misfits: int  # records with another number of cells than the header


def quotes_are_syntax(quoted: Table, plain: Table) -> bool:
    """Return whether quotes are syntax in this file: `plain` is the same file as `quoted`, with quotes as text."""
    with_quotes, without = _widths(quoted), _widths(plain)
    if with_quotes is None or without is None:
        return False
    if with_quotes.misfits != without.misfits:
        return with_quotes.misfits < without.misfits
    spanning = with_quotes.records < without.records
    if plain.header != quoted.header or (spanning and len(quoted.header) == 1):
        return True
    return _has_doubled_quotes(plain) or _quotes_mark_commas(plain)


def _widths(table: Table) -> _Widths | None:
    """Count the records and misfits of a table; None if a quote has no match."""
    records = misfits = 0
    for record in table.records():
        if not isinstance(record, Record):
            return None
        records += 1
        misfits += len(record.cells) != len(table.header)
    return _Widths(records, misfits)


def _has_doubled_quotes(plain: Table) -> bool:
    return any('"' in record.text and _QUOTING.search(record.text) for record in _records(plain))


def _quotes_mark_commas(plain: Table) -> bool:
    """Return whether the quoted cells are exactly those that contain a comma."""
    any_quoted = False
    for record in _records(plain):
        for cell in record.cells:
            quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
            if quoted != ("," in cell):
                return False
            any_quoted = any_quoted or quoted
    return any_quoted


def _records(table: Table) -> Iterator[Record]:
    return (record for record in table.records() if isinstance(record, Record))
