"""Puts an input together from the rows that a folder has and rows that replace or follow them."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from imagen_batch.prompts.column_names import ALIASES, fold
from imagen_batch.records import PromptRow
from imagen_batch.reports.failures import cells_of, column_of

Cells = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Merge:
    """Rows that replace those of the same number, and rows that follow at the end: cells by column.

    `columns` are those of the folder's input.
    """

    columns: Sequence[str]
    replaced: Mapping[int, Cells] = field(default_factory=dict)
    appended: Sequence[Cells] = ()

    @property
    def header(self) -> list[str]:
        """The columns of the input, and what the other rows have beyond those."""
        more = (name for cells in (*self.replaced.values(), *self.appended) for name in cells)
        return list(dict.fromkeys([*self.columns, *more]))


def write_merged(merge: Merge, rows: Iterable[PromptRow]) -> Path:
    """A new CSV file with the rows of the folder's input as `merge` changes them, each on its line if possible."""
    with tempfile.NamedTemporaryFile("wb", prefix="imagen-batch-input-", suffix=".csv", delete=False) as target:
        text = io.TextIOWrapper(target, encoding="utf-8", newline="")
        _write(merge, rows, text)
        text.flush()
        text.detach()
    return Path(target.name)


def _write(merge: Merge, rows: Iterable[PromptRow], text: TextIO) -> None:
    header = merge.header
    at = 1
    for line, cells in _lines(merge, header, rows):
        at += _put(text, "\n" * max(0, line - at))
        at += _put(text, _joined([cells.get(name, "") for name in header]))


def _lines(merge: Merge, header: Sequence[str], rows: Iterable[PromptRow]) -> Iterator[tuple[int, Cells]]:
    yield 1, {name: name for name in header}
    for row in rows:
        yield row.line, {**cells_of(row), **merge.replaced.get(row.row, {})}
    for cells in merge.appended:
        yield 0, cells


def _put(text: TextIO, line: str) -> int:
    text.write(line)
    return len(line.replace("\r\n", "\n").replace("\r", "\n").split("\n")) - 1


def _joined(cells: Sequence[str]) -> str:
    row = io.StringIO(newline="")
    csv.writer(row, lineterminator="\n").writerow(cells)
    return row.getvalue()


def stored_names(columns: Iterable[str], stored: Sequence[str]) -> dict[str, str]:
    """For each column of another file the column of the folder's input that it is; a new one keeps its name."""
    by_name = {column_of(name): name for name in stored} | {name: name for name in stored if column_of(name) == name}
    by_folded = {fold(name): stored_name for name, stored_name in by_name.items()}
    by_role = {
        alias: column
        for role in ALIASES
        if (column := role_column(role, stored)) in stored
        for alias in ALIASES[role]
    }
    known = by_folded | {alias: column for alias, column in by_role.items() if alias not in by_folded}
    return {name: by_name.get(name) or known.get(fold(name), name) for name in columns}


def role_column(role: str, columns: Sequence[str]) -> str:
    """The column that plays a role, or the name that a new one needs."""
    by_folded = {fold(name): name for name in reversed(columns)}
    return next((by_folded[alias] for alias in ALIASES[role] if alias in by_folded), role)
