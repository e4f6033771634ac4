"""Finds the files of a ledger, and names new ones so that they are read after all others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from imagen_batch.errors import SettingsInvalid

_TIME_IN_NAME: Final = re.compile(r"[0-9]+\.[0-9]{3}")


def ledger_files(folder: Path) -> list[Path]:
    """Return all files of a ledger, in the order in which they are read.

    Raises SettingsInvalid for one that is not a regular file, and for a ledger that is not a folder, such as a link
    to a disk that is not there: reading it might never end, and ignoring it would mean paying again for what it
    records.
    """
    require_folder(folder)
    files = sorted(folder.rglob("*.jsonl"), key=lambda path: path.name)
    for path in files:
        if not path.is_file():
            raise SettingsInvalid(f"{path} is not a regular file: the ledger can't be read before that is restored")
    return files


def require_folder(folder: Path) -> None:
    """Raise SettingsInvalid for a ledger that is not a folder. One that does not exist is that of a new run."""
    if os.path.lexists(folder) and not folder.is_dir():
        if folder.is_symlink():
            raise SettingsInvalid(f"{folder} is a link to a folder that is not there, so the ledger can't be read")
        raise SettingsInvalid(f"{folder} is not a folder, so the ledger can't be read")


def time_after(ledgers: Iterable[str], now: float) -> float:
    """Return the time for a new ledger's name: now, but later than any existing one, even with another clock."""
    times = (name.rpartition("/")[2].partition("-")[0] for name in ledgers)
    return max([now, *(float(time) + 0.001 for time in times if _TIME_IN_NAME.fullmatch(time))])
