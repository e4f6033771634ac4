"""Reads the rows of a table in blocks, and numbers them."""

from __future__ import annotations

from collections.abc import Iterator

from imagen_batch.prompts.formats.delimited import Record, Table
from imagen_batch.prompts.record_to_row import RowReader
from imagen_batch.prompts.row_blocks.read_table_in_blocks import (
    BLOCK_BYTES,
    CellBlock,
    has_blocks,
    read_table_in_blocks,
)
from imagen_batch.prompts.row_blocks.rows_as_columns import RowBlock, as_row_block, has_row_blocks
from imagen_batch.records import Problem, PromptRow


def read_rows_in_blocks(
    table: Table, reader: RowReader, *, block_bytes: int = BLOCK_BYTES
) -> Iterator[RowBlock | Iterator[PromptRow | Problem]]:
    """Yield the rows in file order: as columns, or one by one with their problems.

    Single rows have to be read before the next block is.
    """
    if not has_blocks(table) or not has_row_blocks(reader):
        yield reader.read_all(table.records())
        return
    rows = 0
    for block in read_table_in_blocks(table, block_bytes=block_bytes):
        columns = as_row_block(rows + 1, block, reader) if isinstance(block, CellBlock) else None
        if columns is not None:
            rows += len(columns)
            yield columns
            continue
        counted = _Counter(map(block.record, range(len(block))) if isinstance(block, CellBlock) else block)
        yield reader.read_all(counted, before=rows)
        rows += counted.records


class _Counter:
    """Passes records on, and counts them."""

    def __init__(self, records: Iterator[Record | Problem]) -> None:
        self._records = records
        self.records = 0

    def __iter__(self) -> Iterator[Record | Problem]:
        """Yield all records."""
        for record in self._records:
            self.records += isinstance(record, Record)
            yield record
