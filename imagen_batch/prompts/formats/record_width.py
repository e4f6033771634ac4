"""Makes a record as wide as its header, or reports that it has too few or too many cells."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.prompts.column_roles import Columns
from imagen_batch.prompts.formats.delimited import Record, Table
from imagen_batch.records import Problem
from imagen_batch.text import plural

_SHOWN = 100  # characters of a joined prompt


@dataclass(frozen=True, slots=True)
class RecordWidth:
    """How a table handles records that have too few or too many cells."""

    table: Table
    columns: Columns
    join_extra: bool  # surplus cells belong to a prompt with unquoted delimiters

    def fit(self, record: Record) -> list[str] | Problem:
        """Return the record's cells, exactly as many as the header has, or a problem."""
        cells, width = record.cells, len(self.columns.names)
        if len(cells) <= max(self.columns.kept):
            return self._width_problem(record)
        if len(cells) < width:  # only columns that are left out have no cell
            return cells + [""] * (width - len(cells))
        if not "".join(cells[width:]).strip():
            return cells[:width]
        if self.columns.roles["prompt"] != width - 1:
            return self._width_problem(record)
        joined = self.table.tail(record, width - 1)
        return [*cells[: width - 1], joined] if self.join_extra else self._unquoted_problem(record, joined)

    def _width_problem(self, record: Record) -> Problem:
        width, count = len(self.columns.names), len(record.cells)
        message = f"{plural(count, 'cell')} where the header has {width}"
        if "\n" in record.text.rstrip("\r\n"):
            message += "; the record spans lines: is a quote in it not closed?"
        elif count > width:
            message += f": put a cell that holds {self.table.delimiter!r} in quotes"
            message += " (--join-extra is for a prompt in the last column)" * self.join_extra
        return Problem(record.line, None, plural(count, "cell"), message)

    def _unquoted_problem(self, record: Record, joined: str) -> Problem:
        shown = joined if len(joined) <= _SHOWN else f"{joined[:_SHOWN]}..."
        width = len(self.columns.names)
        message = (
            f"{plural(len(record.cells), 'cell')} where the header has {width}: a prompt with an unquoted "
            f"{self.table.delimiter!r}? Put it in quotes, or give --join-extra to read: {shown}"
        )
        return Problem(record.line, self.columns.names[width - 1], plural(len(record.cells), "cell"), message)
