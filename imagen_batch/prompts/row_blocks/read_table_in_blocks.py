"""Reads a delimited table in blocks: as Arrow columns where these have exactly the cells of its records.

Arrow reads text in quotes as Python's reader does if every quote is where RFC 4180 puts it. That is checked before,
and everything else that the two may read differently is left to the reader of single records: lines that end with a
bare CR, blank lines, records that are too short or too long, NUL bytes, invalid UTF-8.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv

from imagen_batch.prompts.formats.delimited import Record, Table
from imagen_batch.prompts.row_blocks.trim_texts import has_blank, trim
from imagen_batch.records import Problem

BLOCK_BYTES: Final = 1 << 19
_CODECS: Final = ("utf-8", "utf-8-sig")
_DELIMITERS: Final = ",;\t|"
_MARK: Final = b"\xef\xbb\xbf"  # Arrow drops it at the beginning of a block
_QUOTE, _LF, _CR = b'"\n\r'

Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Positions: TypeAlias = "npt.NDArray[np.intp]"


@dataclass(frozen=True, slots=True)
class CellBlock:
    """Consecutive records: for every column of the header the texts of its cells, unchanged."""

    lines: range | Positions  # where each record begins
    columns: tuple[pa.StringArray, ...]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.columns[0])

    def record(self, at: int) -> Record:
        """Return one of the records, without the text of its lines."""
        return Record(int(self.lines[at]), [column[at].as_py() for column in self.columns])


Records: TypeAlias = "Iterator[Record | Problem]"


def has_blocks(table: Table) -> bool:
    """Return whether a table can be read in blocks at all."""
    return table.encoding in _CODECS and table.delimiter in _DELIMITERS and table.before > 0


def read_table_in_blocks(table: Table, *, block_bytes: int = BLOCK_BYTES) -> Iterator[CellBlock | Records]:
    """Yield all records in file order: columns, or single records, which have to be read before the next block is."""
    with table.path.open("rb") as file:
        line, offset = table.before, _size_of_lines(table)
        file.seek(offset)
        rest = b""
        while True:
            more = file.read(block_bytes)
            data, at_end = rest + more, len(more) < block_bytes
            end = len(data) if at_end else _end_of_records(data, table)
            if end and not _has_sound_quotes(data[:end], table):
                end = 0
            if not end:
                break
            block, rest = data[:end], data[end:]
            yield _parse(block, table, line + 1) or table.records_in(_as_text(io.BytesIO(block)), before=line)
            line, offset = line + _count_lines(block), offset + end
        if data:
            file.seek(offset)
            with _as_text(file) as text:
                yield table.records_in(text, before=line)


def _size_of_lines(table: Table) -> int:
    """Return the bytes of the lines before the first record."""
    with table.path.open("rb") as file:
        mark = len(_MARK) if table.encoding == "utf-8-sig" and file.read(len(_MARK)) == _MARK else 0
    return mark + sum(len(line.encode()) for line in table.lines_before())


def _as_text(file: BinaryIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(file, encoding="utf-8", newline="")


def _end_of_records(data: bytes, table: Table) -> int:
    """Return where the last whole record ends; 0 if none does."""
    end = data.rfind(b"\n") + 1
    if not table.quoted:
        return end
    quotes = _positions(data, _QUOTE)
    while end and (before := int(np.searchsorted(quotes, end))) % 2:  # the line end is inside of a cell
        end = data.rfind(b"\n", 0, int(quotes[before - 1])) + 1
    return end


def _has_sound_quotes(block: bytes, table: Table) -> bool:
    """Return whether each quote opens or closes a whole cell, or is half of a doubled one inside of such a cell."""
    if not table.quoted or b'"' not in block:
        return True
    quotes = _positions(block, _QUOTE)
    if len(quotes) % 2:
        return False
    padded = np.frombuffer(b"\n%b\n" % block, dtype=np.uint8)
    borders = np.zeros(256, dtype=np.bool_)
    borders[[_QUOTE, _LF, _CR, ord(table.delimiter)]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    return bool(borders[padded[opening]].all() and borders[padded[closing + 2]].all())


def _positions(data: bytes, byte: int) -> Positions:
    return np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == byte)


def _count_lines(block: bytes) -> int:
    """Return the number of line ends: LF, CRLF or CR."""
    if b"\r" not in block:
        return block.count(b"\n")
    return block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n")


def _parse(block: bytes, table: Table, first_line: int) -> CellBlock | None:
    """Return the columns of a block; None if it has to be read record by record."""
    if b"\0" in block or block.startswith(_MARK):
        return None
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        return None
    whole = block if block.endswith(b"\n") else block + b"\n"
    names = [str(at) for at in range(len(table.header))]
    try:
        cells = csv.read_csv(
            pa.BufferReader(whole),
            read_options=csv.ReadOptions(use_threads=False, block_size=len(whole) + 1, column_names=names),
            parse_options=csv.ParseOptions(
                delimiter=table.delimiter, quote_char='"' if table.quoted else False, newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=True
            ),
        )
    except pa.ArrowException:
        return None
    columns = tuple(column.combine_chunks() for column in cells.columns)
    lines = _lines_of_records(whole, table, first_line)
    if cells.num_rows != len(lines) or (len(columns) == 1 and has_blank(trim(columns[0]))):
        return None  # blank lines are no records
    return CellBlock(lines, columns)


def _lines_of_records(block: bytes, table: Table, first_line: int) -> range | Positions:
    """Return the line where each record begins; those inside of cells belong to the record."""
    if not table.quoted or b'"' not in block:
        return range(first_line, first_line + block.count(b"\n"))
    ends, quotes = _positions(block, _LF), _positions(block, _QUOTE)
    last_lines = np.flatnonzero(np.searchsorted(quotes, ends) % 2 == 0)  # of the records, counted from 0
    if len(last_lines) == len(ends):
        return range(first_line, first_line + len(ends))
    return first_line + np.concatenate(([0], last_lines[:-1] + 1))
