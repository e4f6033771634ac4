"""Divides the samples of all rows into blocks of about the same size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

import numpy as np
import pyarrow.compute as pc

from imagen_batch.planning.plan_rows_in_blocks import PlannedBlock
from imagen_batch.planning.resolve_rows import PlannedRow
from imagen_batch.reports.image_blocks.rows_of_samples import ColumnRows, RowsOfSamples, SingleRows

_STEP: Final = 500  # rows
_MAX_CHARACTERS: Final = 8 * 2**20  # of the prompts of a block

Samples = tuple[RowsOfSamples, Sequence[int]]
"""Rows and numbers of samples."""


def samples_in_blocks(
    sources: Iterable[PlannedBlock | Iterator[PlannedRow]], *, block_rows: int
) -> Iterator[Samples]:
    """Yield all samples in input order, at most `block_rows` at a time."""
    count = 0
    for source in sources:
        if isinstance(source, PlannedBlock):
            blocks = _of_columns(source, block_rows, first=block_rows - count % block_rows)
        else:
            blocks = _of_single_rows(source, block_rows)
        for rows, numbers in blocks:
            count += len(numbers)
            yield rows, numbers


def _of_columns(block: PlannedBlock, block_rows: int, *, first: int) -> Iterator[Samples]:
    """Yield the samples of a block, `first` of them as the first block, so that blocks end at the same samples."""
    longest = pc.max(pc.binary_length(block.rows.prompts)).as_py()
    block_rows = max(1, min(block_rows, _MAX_CHARACTERS // longest))
    counts = np.asarray(block.samples, dtype=np.intp)
    rows = np.repeat(np.arange(len(block)), counts)
    numbers = (np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts) + 1).tolist()
    for end in range(min(first, block_rows), len(rows) + block_rows, block_rows):
        begin = max(0, end - block_rows)
        if begin < len(rows):
            yield ColumnRows(block, rows[begin:end]), numbers[begin:end]


def _of_single_rows(rows: Iterator[PlannedRow], block_rows: int) -> Iterator[Samples]:
    planned: list[PlannedRow] = []
    numbers: list[int] = []
    while step := list(islice(rows, _STEP)):
        for row in step:
            planned += [row] * row.samples
            numbers += range(1, row.samples + 1)
            while len(numbers) >= block_rows:
                yield SingleRows(planned[:block_rows]), numbers[:block_rows]
                planned, numbers = planned[block_rows:], numbers[block_rows:]
        if numbers and sum(len(row.prompt) for row in step) > _MAX_CHARACTERS:
            yield SingleRows(planned), numbers
            planned, numbers = [], []
    if numbers:
        yield SingleRows(planned), numbers
