"""Combines the rows of a folder's input with rows that replace or follow them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from imagen_batch.prompts.column_names import ALIASES, fold
from imagen_batch.records import PromptRow
from imagen_batch.reports.tables.failures import failures_column, original_cells
from imagen_batch.text import csv_line

Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Merge:
    """Rows that replace those of the same number, and rows to append. A row is its cells by column.

    `columns` are those of the folder's input.
    """

    columns: Sequence[str]
    replaced: Mapping[int, Cells] = field(default_factory=dict)
    appended: Sequence[Cells] = ()

    @property
    def header(self) -> list[str]:
        """The columns of the input, then the new ones of the other rows."""
        more = (name for cells in (*self.replaced.values(), *self.appended) for name in cells)
        return list(dict.fromkeys([*self.columns, *more]))


def merged_csv(merge: Merge, rows: Iterable[PromptRow]) -> Iterator[bytes]:
    """Yield the merged rows as a CSV file in UTF-8, each on the line where it was before, if possible."""
    header = merge.header
    position = 1
    for line, cells in _lines(merge, header, rows):
        text = "\n" * max(0, line - position) + csv_line([cells.get(name, "") for name in header])
        position += _count_line_ends(text)
        yield text.encode()


def _lines(merge: Merge, header: Sequence[str], rows: Iterable[PromptRow]) -> Iterator[tuple[int, Cells]]:
    yield 1, {name: name for name in header}
    for row in rows:
        yield row.line, {**original_cells(row), **merge.replaced.get(row.row, {})}
    for cells in merge.appended:
        yield 0, cells


def _count_line_ends(text: str) -> int:
    return text.replace("\r\n", "\n").replace("\r", "\n").count("\n")


def match_columns(columns: Iterable[str], stored: Sequence[str]) -> dict[str, str]:
    """Return, for each column of another file, the matching column of the input; a new one keeps its name."""
    by_name = {failures_column(name): name for name in stored}
    by_name |= {name: name for name in stored if failures_column(name) == name}
    by_folded = {fold(name): stored_name for name, stored_name in by_name.items()}
    by_role = {
        alias: column
        for role in ALIASES
        if (column := column_for_role(role, stored)) in stored
        for alias in ALIASES[role]
    }
    known = by_folded | {alias: column for alias, column in by_role.items() if alias not in by_folded}
    return {name: by_name.get(name) or known.get(fold(name), name) for name in columns}


def column_for_role(role: str, columns: Sequence[str]) -> str:
    """Return the column that has a role, or the name for a new one."""
    by_folded = {fold(name): name for name in reversed(columns)}
    return next((by_folded[alias] for alias in ALIASES[role] if alias in by_folded), role)
