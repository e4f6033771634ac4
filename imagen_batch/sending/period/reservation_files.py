"""Keeps the money that runs in progress hold, in files below the root that each of them locks.

A reservation whose process is gone is not locked any more: it is removed, and what its run charged is in the ledger.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from imagen_batch.errors import SettingsInvalid


class Held(msgspec.Struct, frozen=True):
    """What a run in progress may have charged by its end, in each period: the charges before it, and its grant."""

    folder: str  # relative to the root
    kind: str  # of provider: "real" or "simulator"
    usd: dict[str, float]  # by the text of the limit


class ReservationFile:
    """The file of this run's reservation, locked as long as it is open."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"run-{uuid.uuid4().hex}.json"
        self._file: IO[bytes] = self._path.open("xb+", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @property
    def name(self) -> str:
        """The name of the file."""
        return self._path.name

    def write(self, held: Held) -> None:
        """Replace what is held. Called with the lock of the root."""
        content = msgspec.json.encode(held)
        self._file.seek(0)
        self._file.truncate()
        self._file.write(content)
        os.fsync(self._file.fileno())

    def release(self) -> None:
        """Give back what was not spent."""
        with suppress(OSError):
            self._path.unlink()
        self._file.close()


def read_held(folder: Path, *, own: str, remove_free: bool = True) -> list[Held]:
    """Return what other runs in progress hold, and remove the files of runs that are gone.

    The caller holds the lock of the root. Raises SettingsInvalid for a file that another program has changed.
    """
    held = []
    for path in sorted(folder.glob("run-*.json")):
        if path.name == own:
            continue
        with suppress(FileNotFoundError), path.open("rb") as file:
            if _is_free(file):
                if remove_free:
                    path.unlink(missing_ok=True)
            else:
                held.append(_decode(path, file.read()))
    return held


def _decode(path: Path, content: bytes) -> Held:
    try:
        return msgspec.json.decode(content, type=Held)
    except ValueError as error:
        raise SettingsInvalid(f"--max-cost-per: {path} is damaged: {error}") from error


def _is_free(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
