"""Copies a prompt file without the secrets in it, to be stored with its run.

The copy has the same bytes if no column looks like a secret. Otherwise it is UTF-8 with those cells emptied, and
every record stays on its line. A spreadsheet becomes JSON lines, each on the line of its row.
"""

from __future__ import annotations

import csv
import io
import shutil
from typing import TYPE_CHECKING, BinaryIO, TextIO

from imagen_batch.prompts.column_names import looks_secret
from imagen_batch.prompts.formats.delimited import Record, Table, count_lines
from imagen_batch.prompts.formats.text_and_jsonl import JsonLines, PlainLines, numbered_lines, without_secrets

if TYPE_CHECKING:
    from imagen_batch.prompts.spreadsheets.sheet_to_records import SheetRows


def copy_file(source: Table | PlainLines | JsonLines | SheetRows, target: BinaryIO) -> bool:
    """Write `source` to `target`. Return True if it could not be copied unchanged."""
    if not isinstance(source, Table | PlainLines | JsonLines):
        source.copy_to(target)
        return True
    if isinstance(source, PlainLines) or not _holds_secrets(source):
        with source.path.open("rb") as original:
            shutil.copyfileobj(original, target)
        return False
    text = io.TextIOWrapper(target, encoding="utf-8", newline="")
    if isinstance(source, Table):
        _copy_table(source, text)
    else:
        _copy_objects(source, text)
    text.detach()
    return True


def _holds_secrets(source: Table | JsonLines) -> bool:
    # Nested members may have any name, so every object is checked when it is written.
    return isinstance(source, JsonLines) or any(map(looks_secret, source.header))


def _copy_table(source: Table, text: TextIO) -> None:
    secret = {position for position, name in enumerate(source.header) if looks_secret(name)}
    lines = _Lines(text, source)
    lines.write(Record(source.header_line, list(source.header)))
    for record in source.records():
        if isinstance(record, Record):
            cells = ["" if position in secret else cell for position, cell in enumerate(record.cells)]
            lines.write(Record(record.line, cells))


class _Lines:
    """Writes each record on its original line."""

    def __init__(self, text: TextIO, source: Table) -> None:
        self._text = text
        self._source = source
        self._line = 1

    def write(self, record: Record) -> None:
        """Write one record, after blank lines up to its own."""
        self._text.write("\n" * (record.line - self._line))
        line = self._format_line(record.cells) + "\n"
        self._text.write(line)
        self._line = record.line + count_lines(line)

    def _format_line(self, cells: list[str]) -> str:
        if not self._source.quoted:
            return self._source.delimiter.join(cells)
        row = io.StringIO(newline="")
        csv.writer(row, delimiter=self._source.delimiter, lineterminator="\r\n").writerow(cells)
        return row.getvalue().removesuffix("\r\n")


def _copy_objects(source: JsonLines, text: TextIO) -> None:
    next_line = 1
    for number, line in numbered_lines(source.path, source.encoding):
        text.write("\n" * (number - next_line) + without_secrets(line) + "\n")
        next_line = number + 1
