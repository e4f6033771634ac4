"""Reads single records back from the ledger's files by their position.

Details of a million samples do not fit into memory. They are read in nearly the order in which they were written, so
a block of a file is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, TypeVar

from imagen_batch.ledger.damage import damage_at
from imagen_batch.ledger.parsing import parse
from imagen_batch.ledger.records import DoneRecord, KeptRecord

_OFFSET_BITS: Final = 48
_BLOCK: Final = 1 << 18  # bytes of a ledger read at once: some hundred records
_NEXT_BLOCK: Final = 1 << 20  # the same where records are read one after the other
_BEFORE_BYTES: Final = (
    1 << 16
)  # of them, bytes before the requested record: results are nearly, not exactly in input order

_R = TypeVar("_R", DoneRecord, KeptRecord)


class RecordLookup:
    """Finds records by position: file number and byte offset, packed into one integer."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._numbers: dict[str, int] = {}  # file numbers by file name, which is unique in the whole ledger
        self._block: tuple[int, bytes] = (0, b"")
        self._done: tuple[int, DoneRecord] | None = None
        self._kept: tuple[int, KeptRecord] | None = None
        self._unwritten: list[KeptRecord] = []

    def add_file(self, path: Path) -> int:
        """Return the position of a file's first byte. A file that is known by its name may have moved."""
        if path.name not in self._numbers:
            self._numbers[path.name] = len(self._files)
            self._files.append(path)
        number = self._numbers[path.name]
        self._files[number] = path
        return number << _OFFSET_BITS

    def add_unwritten(self, record: KeptRecord) -> int:
        """Keep a record that no file has yet; return a position that only `kept` accepts."""
        self._unwritten.append(record)
        return -len(self._unwritten)

    def done(self, position: int) -> DoneRecord:
        """Return the result at a position. Raises LedgerDamaged."""
        last = self._done  # read once: any thread may replace it
        if last is None or last[0] != position:  # the samples of one request are looked up one after the other
            last = self._done = (position, self._read(position, DoneRecord))
        return last[1]

    def lines(self, positions: Iterable[int]) -> list[bytes]:
        """Return the lines at these positions, as they are in the files."""
        lines = []
        at, block = self._block
        for position in positions:
            start = position - at
            end = block.find(b"\n", start) if 0 <= start < len(block) else -1
            if end < 0:
                lines.append(self._line(position))
                at, block = self._block
            else:
                lines.append(block[start:end])
        return lines

    def kept(self, position: int) -> KeptRecord:
        """Return the record of moves at a position. Raises LedgerDamaged."""
        if position < 0:
            return self._unwritten[-position - 1]
        last = self._kept  # cached apart from results: the record may be long, and results are read in between
        if last is None or last[0] != position:
            last = self._kept = (position, self._read(position, KeptRecord))
        return last[1]

    def _read(self, position: int, kind: type[_R]) -> _R:
        record = parse(self._line(position))
        if not isinstance(record, kind):
            reason = record if isinstance(record, str) else "it changed while it was read"
            raise damage_at(*self._location(position), reason)
        return record

    def _line(self, position: int) -> bytes:
        at, block = self._block
        start = position - at  # out of range if the block is of another file
        end = block.find(b"\n", start) if 0 <= start < len(block) else -1
        if end < 0:
            self._block = at, block = self._block_around(position)
            start = position - at
            end = block.find(b"\n", start)
        return block[start:end]

    def _block_around(self, position: int) -> tuple[int, bytes]:
        """Return a part of a ledger file with the whole record at `position`, and the position of the part."""
        path, offset = self._location(position)
        before = min(_BEFORE_BYTES, offset)
        at, last = self._block
        follows = 0 <= position - at <= len(last)
        with path.open("rb") as file:
            file.seek(offset - before)
            block = file.read(_NEXT_BLOCK if follows and last else _BLOCK)
            if b"\n" not in block[before:]:
                block += file.readline()
        return position - before, block

    def _location(self, position: int) -> tuple[Path, int]:
        """Return the file that holds a record, and the byte offset in it."""
        return self._files[position >> _OFFSET_BITS], position & ((1 << _OFFSET_BITS) - 1)
