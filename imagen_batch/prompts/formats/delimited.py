"""Reads a delimited table into records: their cells, and the line on which each begins."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TextIO

from imagen_batch.prompts.formats.bounded_lines import LineTooLong, bounded_lines
from imagen_batch.records import Problem

_MAX_CELL = 1 << 24  # characters: a quote that is never closed takes in no more than this
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*+(?:""[^"]*+)*+"')  # possessive, so that a long cell does not fill the stack


class Record(NamedTuple):
    """One record of a file, unchanged."""

    line: int  # physical line where it begins, 1..
    cells: list[str]
    text: str = ""  # all its lines, unchanged; empty for formats that don't need them


@dataclass(frozen=True, slots=True)
class Table:
    """A delimited file. Lines end with CRLF, LF or CR, also mixed."""

    path: Path
    encoding: str
    delimiter: str
    quoted: bool  # whether a quote at the beginning of a cell is syntax
    before: int = 0  # physical lines to skip: an Excel hint, blank lines, the header
    header: tuple[str, ...] = ()
    header_line: int = 1

    def records(self) -> Iterator[Record | Problem]:
        """Yield every record from line `before` + 1 on, except blank lines; a Problem if quotes do not match."""
        with self.path.open(encoding=self.encoding, newline="") as file:
            yield from self._records(islice(bounded_lines(file), self.before, None), self.before)

    def records_in(self, file: TextIO, *, before: int) -> Iterator[Record | Problem]:
        """Yield the records of a part of the file, which begins below so many lines of it."""
        return self._records(bounded_lines(file, before=before), before)

    def lines_before(self) -> Iterator[str]:
        """Yield the physical lines that come before the first record."""
        with self.path.open(encoding=self.encoding, newline="") as file:
            yield from islice(bounded_lines(file), self.before)

    def _records(self, numbered: Iterable[str], before: int) -> Iterator[Record | Problem]:
        lines: list[str] = []  # of the current record
        csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))  # a setting of the whole process
        reader = csv.reader(
            _record_lines(numbered, lines),
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quoted else csv.QUOTE_NONE,
            strict=True,
        )
        while True:
            lines.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                cells = None
            except LineTooLong as exc:
                yield Problem(exc.number, None, None, str(exc))
                return
            line = before + reader.line_num - len(lines) + 1
            if cells is None:
                yield _unmatched_quote("".join(lines), line, self.delimiter)
            elif len(cells) > 1 or not _is_blank(cells):
                yield Record(line, cells, lines[0] if len(lines) == 1 else "".join(lines))

    def tail(self, record: Record, position: int) -> str:
        """Return the exact text of `record` from its cell at `position` to its end."""
        cell = _whole_cell(self.delimiter) if self.quoted else re.compile(f".*?{re.escape(self.delimiter)}")
        at = 0
        for _ in range(position):
            if match := cell.match(record.text, at):
                at = match.end()
        return record.text[at:].rstrip("\r\n")


def count_lines(text: str) -> int:
    """Return the number of physical lines in `text`; a last one without a line end counts."""
    return len(_LINE_END.findall(text)) + (text[-1:] not in {"", "\r", "\n"})


def _record_lines(lines: Iterable[str], recorded: list[str]) -> Iterator[str]:
    for line in lines:
        recorded.append(line)
        yield line


def _is_blank(cells: list[str]) -> bool:
    """Return whether a record is a blank line. A single empty cell was written as "" and is not blank."""
    return not cells or (len(cells) == 1 and cells[0].isspace())


def _unmatched_quote(text: str, line: int, delimiter: str) -> Problem:
    cell, at = _whole_cell(delimiter), 0
    while match := cell.match(text, at):
        at = match.end()
    opened = line + len(_LINE_END.findall(text[:at]))
    closing = _QUOTED.match(text, at)
    if closing is None:
        return Problem(opened, None, None, f"the quote opened in line {opened} is never closed")
    closed = opened + len(_LINE_END.findall(closing[0]))
    location = "" if closed == opened else f" in line {closed}"
    message = f'Text follows a closing quote{location}. Write quotes inside a cell twice: ""'
    return Problem(opened, None, None, message)


def _whole_cell(delimiter: str) -> re.Pattern[str]:
    mark = re.escape(delimiter)
    return re.compile(rf'(?:{_QUOTED.pattern}|(?!")[^{mark}\r\n]*+){mark}')
