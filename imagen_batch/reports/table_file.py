"""One file of a run's tables, whose failure ends neither the others nor the run.

After the first error everything that is written is dropped, and the file of that name stays as it was.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from imagen_batch.storage import Storage

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # another name would be no help


@dataclass(frozen=True, slots=True)
class Unwritten:
    """A file that could not be put in its place. `beside`: where its content is instead; None where nowhere."""

    name: str
    reason: str
    beside: str | None = None
    error_number: int | None = None  # the system's


def unwritten_text(files: Sequence[Unwritten]) -> str:
    """One sentence for all files of the same reason."""
    by_reason: dict[str, list[Unwritten]] = {}
    for file in files:
        by_reason.setdefault(file.reason, []).append(file)
    return "; ".join(
        f"{', '.join(file.name for file in those)} could not be written ({reason}){_where(those)}"
        for reason, those in by_reason.items()
    )


def _where(files: Sequence[Unwritten]) -> str:
    there = [file.beside for file in files if file.beside]
    return f", the new content is in {', '.join(there)}" if there else ""


class TableFile(io.BufferedIOBase):
    """A handle for bytes that become `target` when `finish` is called. Never raises OSError; `error` tells."""

    def __init__(self, storage: Storage, name: str, *, target: str | None = None) -> None:
        super().__init__()
        self.name = name
        self.target = target or name
        self.error: OSError | None = None
        self._size = 0
        self._writing = storage.write(self.target)
        try:
            self._handle: Any = self._writing.__enter__()
        except OSError as error:
            self._handle, self.error = None, error

    def writable(self) -> bool:
        """Always: what comes after an error is dropped."""
        return True

    def write(self, data: Any) -> int:
        """Pass `data` on, unless something went wrong before."""
        size = memoryview(data).nbytes
        self._size += size
        if self.error is None:
            try:
                self._handle.write(data)
            except OSError as error:
                self.error = error
        return size

    def tell(self) -> int:
        """How many bytes came."""
        return self._size

    def finish(self) -> None:
        """Put the file in place, or leave what was there after an error."""
        if self._handle is None:
            return
        if self.error is not None:
            self.abandon(self.error)
            return
        self._handle, writing = None, self._writing
        try:
            writing.__exit__(None, None, None)
        except OSError as error:
            self.error = error

    def abandon(self, error: BaseException) -> None:
        """Leave what was there."""
        if self._handle is not None:
            self._handle = None
            with suppress(OSError):
                self._writing.__exit__(type(error), error, error.__traceback__)


def beside(name: str) -> str:
    """Where a table goes whose own place can't be had: `manifest.new.csv`."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}.new{path.suffix}"))


def reason(error: OSError) -> str:
    """What went wrong, in the system's words."""
    if error.strerror:
        return error.strerror
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


def worth_a_place_beside(error: OSError) -> bool:
    """Whether the same content may find room under another name."""
    return error.errno not in _FULL


def clear_beside(storage: Storage, names: Iterable[str]) -> None:
    """Remove what an earlier run had to write beside, now that the tables are in their places."""
    for name in names:
        with suppress(OSError):
            if storage.size(beside(name)) is not None:
                storage.remove(beside(name))
