"""Gives what the manifest has of the rows of samples, from planned rows, or from a block of the input's columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from imagen_batch.planning.plan_rows_in_blocks import PlannedBlock
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.records import Options
from imagen_batch.reports.counters.cell_of_column import find_cell, find_header
from imagen_batch.reports.counters.lists_of_image_facts import RowFacts
from imagen_batch.reports.tables.arrow_columns import INT, TEXT, Column, to_array

Shape = tuple[str | None, str]
"""The requested aspect ratio, and the dialect of the model."""

Indexes = npt.NDArray[np.intp]


class RowsOfSamples(Protocol):
    """The rows of some samples, in the order of the samples: a row comes once for each of its samples."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def planned(self, at: int) -> PlannedRow:
        """Return the row of a sample."""

    def take(self, places: Sequence[int]) -> RowsOfSamples:
        """Return the rows of some of the samples."""

    def array(self, column: Column) -> pa.Array:
        """Return a column of the parts "row" and "options", or one of prompts, models and dialects."""

    def shapes(self) -> Sequence[Shape | None]:
        """Return the requested shape of each sample; None where the row names one."""

    def models(self) -> Sequence[str]:
        """Return the id of each sample's model."""

    def facts(self) -> RowFacts:
        """Return what the summary counts by."""

    @property
    def have_references(self) -> bool:
        """Whether any row has a reference image."""


@dataclass(frozen=True, slots=True)
class SingleRows:
    """Rows that were planned one by one."""

    rows: Sequence[PlannedRow]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def planned(self, at: int) -> PlannedRow:
        """Return the row of a sample."""
        return self.rows[at]

    def take(self, places: Sequence[int]) -> SingleRows:
        """Return the rows of some of the samples."""
        return SingleRows([self.rows[at] for at in places])

    def array(self, column: Column) -> pa.Array:
        """Return a column of these rows."""
        if column.part == "row":
            return to_array([column.take(planned.row) for planned in self.rows], column.type)
        if column.part == "options":
            return self._of_options(column)
        take = _OF_PLANNED[column.name]
        return _of_values([take(planned) for planned in self.rows], column)

    def shapes(self) -> Sequence[Shape | None]:
        """Return the requested shape of each sample; None where the row names one."""
        return [
            (planned.options.aspect_ratio, planned.model.dialect) if planned.row.shape is None else None
            for planned in self.rows
        ]

    def models(self) -> Sequence[str]:
        """Return the id of each sample's model."""
        return [planned.model.id for planned in self.rows]

    def facts(self) -> RowFacts:
        """Return what the summary counts by."""
        return FactsOfSingleRows([planned.row.row for planned in self.rows], self.rows)

    @property
    def have_references(self) -> bool:
        """Whether any row has a reference image."""
        return any(planned.references for planned in self.rows)

    def _of_options(self, column: Column) -> pa.Array:
        options: Mapping[int, Options] = {id(planned.options): planned.options for planned in self.rows}
        known = {at: column.take(each) for at, each in options.items()}
        return _of_values([known[id(planned.options)] for planned in self.rows], column)


@dataclass(frozen=True, slots=True)
class FactsOfSingleRows:
    """The facts of rows that were planned one by one."""

    numbers: Sequence[int]
    rows: Sequence[PlannedRow]

    def ids(self) -> Sequence[str | None]:
        """Return the id of each sample's row."""
        return [planned.row.id for planned in self.rows]

    def requested(self) -> Sequence[int | None]:
        """Return the number of samples in each sample's row of the input."""
        return [planned.row.samples for planned in self.rows]

    def cells(self, column: str) -> Sequence[str]:
        """Return the text that each sample's row has in a column of the input."""
        return [find_cell(planned.row.cells, column) for planned in self.rows]

    def part(self, begin: int, end: int) -> FactsOfSingleRows:
        """Return the facts of some of the samples."""
        return FactsOfSingleRows(self.numbers[begin:end], self.rows[begin:end])


@dataclass(frozen=True, slots=True)
class ColumnRows:
    """Rows of a block. `rows` has the place of each sample's row in the block."""

    block: PlannedBlock
    rows: Indexes

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.rows)

    def planned(self, at: int) -> PlannedRow:
        """Return the row of a sample."""
        return self.block.planned(int(self.rows[at]))

    def take(self, places: Sequence[int]) -> ColumnRows:
        """Return the rows of some of the samples."""
        return ColumnRows(self.block, self.rows[np.array(places, dtype=np.intp)])

    def array(self, column: Column) -> pa.Array:
        """Return a column of these rows."""
        rows = self.block.rows
        if column.header is not None:
            return self.select(rows.own_cells()[column.header])
        if column.part == "row":
            return self._of_rows(column)
        if column.part == "options":
            return self._of_kinds([column.take(resolved.sent) for resolved in self.block.resolved], column)
        if column.name == "prompt":
            return self.select(rows.prompts)
        return self._of_kinds([getattr(each.model, _OF_MODEL[column.name]) for each in self.block.resolved], column)

    def shapes(self) -> Sequence[Shape | None]:
        """Return the requested shape of each sample."""
        return self.of_kinds([(each.sent.aspect_ratio, each.model.dialect) for each in self.block.resolved])

    def models(self) -> Sequence[str]:
        """Return the id of each sample's model."""
        return self.of_kinds([each.model.id for each in self.block.resolved])

    def facts(self) -> RowFacts:
        """Return what the summary counts by."""
        return FactsOfColumns((self.rows + self.block.rows.first_row).tolist(), self)

    @property
    def have_references(self) -> bool:
        """Whether any row has a reference image, which rows of a block do not have."""
        return False

    def select(self, values: pa.Array) -> pa.Array:
        """Return the values of the samples, from those of all rows of the block."""
        if (np.diff(self.rows) == 1).all():
            return values.slice(int(self.rows[0]), len(self.rows))
        return values.take(pa.array(self.rows))

    def _of_rows(self, column: Column) -> pa.Array:
        rows = self.block.rows
        if column.attribute == "id" and rows.ids is not None:
            return self.select(rows.ids)
        if column.attribute == "row":
            return pa.array(self.rows + rows.first_row, type=INT)
        if column.attribute == "line":
            lines = rows.lines
            of_rows = self.rows + lines.start if isinstance(lines, range) else lines[self.rows]
            return pa.array(of_rows, type=INT)
        assert column.attribute in {"id", "input_prompt"}, column.name
        return pa.nulls(len(self.rows), type=TEXT)

    def _of_kinds(self, values: Sequence[Any], column: Column) -> pa.Array:
        of_kinds, kind_of = to_array(list(values), column.type), self.block.rows.kind_of
        if kind_of is None:
            return pa.repeat(of_kinds[0], len(self.rows))
        return of_kinds.take(pa.array(kind_of[self.rows]))

    def of_kinds(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return the values of the samples, from those of the kinds of rows."""
        kind_of = self.block.rows.kind_of
        if kind_of is None:
            return [values[0]] * len(self.rows)
        return [values[kind] for kind in kind_of[self.rows].tolist()]


@dataclass(frozen=True, slots=True)
class FactsOfColumns:
    """The facts of rows of a block."""

    numbers: Sequence[int]
    rows: ColumnRows

    def ids(self) -> Sequence[str | None]:
        """Return the id of each sample's row."""
        ids = self.rows.block.rows.ids
        if ids is None:
            return [None] * len(self.numbers)
        texts: list[str | None] = self.rows.select(ids).to_pylist()
        return texts

    def requested(self) -> Sequence[int | None]:
        """Return the number of samples in each sample's row of the input."""
        return self.rows.of_kinds([kind.samples for kind in self.rows.block.rows.kinds])

    def cells(self, column: str) -> Sequence[str]:
        """Return the text that each sample's row has in a column of the input."""
        kept = self.rows.block.rows.kept_cells()
        header = find_header(kept, column)
        if header is None:
            return [""] * len(self.numbers)
        return [text.strip() for text in self.rows.select(kept[header]).to_pylist()]

    def part(self, begin: int, end: int) -> FactsOfColumns:
        """Return the facts of some of the samples."""
        return FactsOfColumns(self.numbers[begin:end], ColumnRows(self.rows.block, self.rows.rows[begin:end]))


def _of_values(values: list[Any], column: Column) -> pa.Array:
    if len(values) > 1 and len(set(values)) == 1:
        return pa.repeat(to_array(values[:1], column.type)[0], len(values))
    return to_array(values, column.type)


_OF_PLANNED: Final[Mapping[str, Callable[[PlannedRow], str]]] = {
    "prompt": lambda planned: planned.prompt,
    "model": lambda planned: planned.model.id,
    "dialect": lambda planned: planned.model.dialect,
}
_OF_MODEL: Final = {"model": "id", "dialect": "dialect"}
