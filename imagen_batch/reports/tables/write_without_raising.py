"""Writes a file of a run's tables without ever raising: a failure affects neither the other files nor the run.

After the first error everything that is written is dropped, and an existing file of that name stays as it was.
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

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # another name would not help


@dataclass(frozen=True, slots=True)
class UnwrittenFile:
    """A file that could not be written. `alternate` is the file that has its content instead, if any."""

    name: str
    reason: str
    alternate: str | None = None
    error_number: int | None = None  # errno


def describe_unwritten(files: Sequence[UnwrittenFile]) -> str:
    """Return one sentence for all files of the same reason."""
    by_reason: dict[str, list[UnwrittenFile]] = {}
    for file in files:
        by_reason.setdefault(file.reason, []).append(file)
    sentences = []
    for reason, group in by_reason.items():
        alternates = ", ".join(file.alternate for file in group if file.alternate)
        where = f", the new content is in {alternates}" if alternates else ""
        sentences.append(f"{', '.join(file.name for file in group)} could not be written ({reason}){where}")
    return "; ".join(sentences)


class TableFile(io.BufferedIOBase):
    """A handle for bytes that become `target` when `finish` is called. Keeps an OSError in `error`, raises none."""

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
        """Return True, even after an error: later bytes are dropped."""
        return True

    def write(self, data: Any) -> int:
        """Write `data`, unless an earlier write failed."""
        size = memoryview(data).nbytes
        self._size += size
        if self.error is None:
            try:
                self._handle.write(data)
            except OSError as error:
                self.error = error
        return size

    def tell(self) -> int:
        """Return the number of bytes that were passed to `write`."""
        return self._size

    def finish(self) -> None:
        """Put the file in place; after an error, leave the existing one."""
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
        """Discard what was written and leave the existing file."""
        if self._handle is not None:
            self._handle = None
            with suppress(OSError):
                self._writing.__exit__(type(error), error, error.__traceback__)


def alternate_name(name: str) -> str:
    """Return the name for a table whose own name can't be written to: `manifest.new.csv`."""
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}.new{path.suffix}"))


def describe_error(error: OSError) -> str:
    """Return the system's message for an error."""
    if error.strerror:
        return error.strerror
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


def can_use_alternate(error: OSError) -> bool:
    """Return whether writing the same content under another name may work."""
    return error.errno not in _FULL


def remove_alternates(storage: Storage, names: Iterable[str]) -> None:
    """Remove the alternates that an earlier run had to write, now that the tables themselves are written."""
    for name in names:
        with suppress(OSError):
            if storage.size(alternate_name(name)) is not None:
                storage.remove(alternate_name(name))
