"""Defines the interface of a storage, and the names below a run that every package uses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

STATE: Final = ".imagen-batch"
"""The folder for the run's own files."""

LEDGER: Final = f"{STATE}/ledger"
"""Logs of records, one for each writer; see the package `ledger`."""

SET_ASIDE: Final = f"{STATE}/set-aside"
"""Files that a repair moved out of the way. It deletes nothing."""


class Log(Protocol):
    """An append-only file."""

    def append(self, data: bytes) -> None:
        """Append `data`, which is durable when this returns. After an OSError none of it is stored."""

    def close(self) -> None:
        """Close the log; nothing may be appended afterwards."""


class Storage(Protocol):
    """The files of one run. Every method may raise OSError, and nothing else, when the storage fails."""

    @property
    def location(self) -> str:
        """The folder or URL, as the user wrote it."""

    @property
    def links(self) -> bool:
        """Whether a second name for a file costs nothing."""

    def read(self, name: str) -> bytes:
        """Read a whole file. Raises FileNotFoundError if there is none."""

    def size(self, name: str) -> int | None:
        """Return the bytes of a file; None if there is none."""

    def sizes_of(self, names: Sequence[str]) -> list[int | None]:
        """Return the bytes of each file; None for a missing file. Cheaper than single calls for neighboring names."""

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        """Yield name and bytes of every file below a name, always in the same order."""

    def put(self, name: str, data: bytes) -> None:
        """Store `data` under a name that has no other writer; durable when this returns. A kill may truncate it."""

    def create(self, name: str, data: bytes) -> bool:
        """Store `data` whole under `name`; if the name is taken, change nothing and return False."""

    def link(self, source: str, name: str) -> bool:
        """Give a file a second name; if that is taken, change nothing and return False."""

    def move(self, source: str, name: str) -> None:
        """Rename a file, replacing any file that has the new name."""

    def remove(self, name: str) -> None:
        """Delete a file; do nothing if there is none."""

    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Open a handle whose bytes become `name` when the block succeeds; an exception leaves `name` unchanged."""

    def sync(self, names: Iterable[str]) -> None:
        """Make the folder entries of these names durable. A separate step, so that many files share it."""

    def local(self, name: str) -> Path:
        """Return a file of this machine with the current bytes of `name`, for reading only."""

    def log(self, name: str) -> Log:
        """Open a new log. `name` ends with .jsonl and no other log has it."""

    def logs(self, below: str) -> Path:
        """Return a folder of this machine with one file for each log below a name, up to date, for reading only.

        A later call may make these files grow; nothing else changes in them.
        """

    def hold_lock(self) -> AbstractContextManager[None]:
        """Hold the run's lock. Raises FolderBusy, which names the holder, if another process has it."""

    def is_locked(self) -> bool:
        """Whether a process holds the lock."""

    def free(self) -> int | None:
        """Return the free bytes; None if space is unlimited."""

    def reserve(self, name: str, size: int) -> None:
        """Allocate that many bytes under `name`; do nothing if space is unlimited."""
