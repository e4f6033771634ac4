"""Gives the rows of a block as columns: their prompts and ids, and the few different combinations of their options.

A combination is read by the reader of single rows, from the first row that has it. Rows with a reference, a style, a
name or a shape of their own, or with a defect, are left to that reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from imagen_batch.prompts.record_to_row import RowReader
from imagen_batch.prompts.row_blocks.read_table_in_blocks import CellBlock
from imagen_batch.prompts.row_blocks.trim_texts import are_blank, has_blank, trim
from imagen_batch.records import PromptRow

_MAX_KINDS: Final = 64
_BY_ROW: Final = ("filename", "style", "references")
_OF_KIND: Final = ("model", "samples")


@dataclass(frozen=True, slots=True)
class RowBlock:
    """Consecutive rows without a defect. `kinds` has a row for each combination of model, samples and options."""

    first_row: int
    cells: CellBlock
    prompts: pa.StringArray
    ids: pa.StringArray | None  # None where the input has no such column; null for an empty cell
    kinds: Sequence[PromptRow]
    kind_of: npt.NDArray[np.intp] | None  # index of each row's kind; None if there is only one
    reader: RowReader

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.cells)

    @property
    def lines(self) -> range | npt.NDArray[np.intp]:
        """The line where each row begins."""
        return self.cells.lines

    def row(self, at: int) -> PromptRow:
        """Return one of the rows."""
        row = self.reader.read(self.first_row + at, self.cells.record(at))
        assert isinstance(row, PromptRow), "the row has a defect that its block does not have"
        return row

    def single_rows(self) -> Iterator[PromptRow]:
        """Yield all rows, one by one."""
        return map(self.row, range(len(self)))

    def own_cells(self) -> Mapping[str, pa.StringArray]:
        """Return the texts of the user's own columns."""
        return {name: self.cells.columns[position] for name, position in self.reader.own}

    def kept_cells(self) -> Mapping[str, pa.StringArray]:
        """Return the texts of all columns that are carried through."""
        return {name: self.cells.columns[position] for name, position in self.reader.kept}


def has_row_blocks(reader: RowReader) -> bool:
    """Return whether rows can be read in blocks at all."""
    return reader.columns.mark is None and not reader.columns.failures


def as_row_block(first_row: int, cells: CellBlock, reader: RowReader) -> RowBlock | None:
    """Return the rows of a block as columns; None if they have to be read one by one."""
    roles, columns = reader.columns.roles, cells.columns
    prompts = trim(columns[reader.prompt])
    if not len(cells) or has_blank(prompts):
        return None
    by_row = [roles[role] for role in _BY_ROW if role in roles] + ([] if reader.shape is None else [reader.shape])
    if not all(_is_blank(columns[position]) for position in by_row):
        return None
    positions = [cell.position for cell in reader.option_cells] + [roles[role] for role in _OF_KIND if role in roles]
    found = _find_kinds([columns[position] for position in positions])
    if found is None:
        return None
    firsts, kind_of = found
    rows = [reader.read(first_row + at, cells.record(at)) for at in firsts]
    kinds = [row for row in rows if isinstance(row, PromptRow)]
    if len(kinds) < len(rows):
        return None
    ids = trim(columns[roles["id"]]) if "id" in roles else None
    if ids is not None and has_blank(ids):
        ids = pc.if_else(are_blank(ids), pa.scalar(None, type=pa.string()), ids)
    return RowBlock(first_row, cells, prompts, ids, kinds, kind_of, reader)


def _is_blank(texts: pa.StringArray) -> bool:
    return bool(pc.all(are_blank(trim(texts))).as_py())


def _find_kinds(columns: Sequence[pa.StringArray]) -> tuple[list[int], npt.NDArray[np.intp] | None] | None:
    """Return the first row of each combination of cells, and the combination of each row; None if there are many."""
    codes: npt.NDArray[np.intp] | None = None
    for column in columns:
        encoded = column.dictionary_encode()
        if len(encoded.dictionary) > _MAX_KINDS:
            return None
        if len(encoded.dictionary) == 1:
            continue
        more = encoded.indices.to_numpy().astype(np.intp)
        codes = more if codes is None else np.unique(codes * _MAX_KINDS + more, return_inverse=True)[1]
    if codes is None:
        return [0], None
    _, firsts, kind_of = np.unique(codes, return_index=True, return_inverse=True)
    if len(firsts) > _MAX_KINDS:
        return None
    order = np.argsort(firsts)  # of the kinds, by their first rows
    return firsts[order].tolist(), np.argsort(order)[kind_of]
