"""What must a place offer to hold a run?"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TextIO

STATE: Final = ".imagen-batch"
"""What the run keeps for itself."""

LEDGER: Final = f"{STATE}/ledger"
"""Logs of records, one for each writer; see `ledger.py`."""

SET_ASIDE: Final = f"{STATE}/set-aside"
"""What a repair moved out of the way. Nothing is deleted."""


class Log(Protocol):
    """Bytes that are only ever added to."""

    def append(self, data: bytes) -> None:
        """Add `data`: stored for good when this returns. After an OSError nothing of it counts."""

    def close(self) -> None:
        """Nothing follows."""


class Storage(Protocol):
    """The files of one run. Every method may raise OSError, and nothing else, where the place is in trouble."""

    @property
    def place(self) -> str:
        """The folder or URL, as the user wrote it."""

    @property
    def links(self) -> bool:
        """Whether a second name for a file costs nothing."""

    def read(self, name: str) -> bytes:
        """A whole file. FileNotFoundError where there is none."""

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""

    def sizes_of(self, names: Sequence[str]) -> list[int | None]:
        """Bytes of each file; None where there is none. Cheaper than one by one where names are neighbours."""

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        """Name and bytes of every file below a name, always in the same order."""

    def put(self, name: str, data: bytes) -> None:
        """Keep `data` under a name that nobody else writes to: stored when this returns. A kill may leave it torn."""

    def create(self, name: str, data: bytes) -> bool:
        """Keep `data` whole under `name`; False, and nothing changed, where something has that name."""

    def link(self, source: str, name: str) -> bool:
        """Give a file a second name; False, and nothing changed, where something has that name."""

    def move(self, source: str, name: str) -> None:
        """Give a file another name, whatever had that."""

    def remove(self, name: str) -> None:
        """Take a file away; where there is none nothing happens."""

    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A handle whose bytes become `name` when the block ends well; after an exception `name` is as it was."""

    def sync(self, names: Iterable[str]) -> None:
        """Make it durable that these names are there. A step of its own, so that many files share it."""

    def local(self, name: str) -> Path:
        """A file of this machine with the bytes of `name` as they are now, to be read only."""

    def log(self, name: str) -> Log:
        """A new log. `name` ends with .jsonl and is one of its own."""

    def logs(self, below: str) -> Path:
        """A folder of this machine in which every log below a name is one file, as they are now, to be read only.

        Asked again, files there may have grown; nothing else changes in them.
        """

    def locked(self) -> AbstractContextManager[None]:
        """Hold the run's lock. Raises FolderBusy, which names who holds it, if another process does."""

    def is_locked(self) -> bool:
        """Whether a process holds the lock."""

    def free(self) -> int | None:
        """Bytes that there is room for; None where there is no bound."""

    def reserve(self, name: str, size: int) -> None:
        """Take up so many bytes of room under `name`; nothing where there is no bound."""


@contextmanager
def written_text(storage: Storage, name: str) -> Iterator[TextIO]:
    """`storage.write` for UTF-8 text; line ends are written as they are given."""
    with storage.write(name) as handle:
        text = io.TextIOWrapper(handle, encoding="utf-8", newline="")
        try:
            yield text
        finally:
            text.detach()  # flushes, and leaves `handle` open for its own flush to disk
