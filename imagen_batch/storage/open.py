"""Which kind of storage does this text name?"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagen_batch.errors import LedgerDamaged, SettingsInvalid
from imagen_batch.storage.base import Storage
from imagen_batch.storage.folder import Folder

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(place: str) -> bool:
    """Whether `place` is in an object store and no path of this machine."""
    return _URL.match(place) is not None


@contextmanager
def in_reach(place: str | Path, *, to: str) -> Iterator[None]:
    """A place that can't be worked in is told in a sentence: raises SettingsInvalid for an OSError of the block."""
    try:
        yield
    except LedgerDamaged as damage:  # read from a copy on this machine where the run is in a bucket
        damage.place = str(place)
        raise
    except OSError as error:
        raise SettingsInvalid(f"--out {place}: can't {to}: {error.strerror or error}") from error


def check_place(place: str) -> None:
    """Raise SettingsInvalid for a folder that can't be one, or can't be written; nothing is made."""
    if is_url(place):
        return
    if not place.strip():
        raise SettingsInvalid("--out is empty: give a folder or a URL")
    with in_reach(place, to="be used"):
        there = _nearest(Path(place).absolute())
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{there} is a file, not a folder")
        longest = os.pathconf(there, "PC_NAME_MAX")
        if any(len(os.fsencode(part)) > longest for part in Path(place).parts):
            raise OSError(errno.ENAMETOOLONG, f"a name in it has more than {longest} bytes")
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"{there} can't be written to")


def _nearest(path: Path) -> Path:
    """The path itself, or the lowest folder above it that is there."""
    for each in (path, *path.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            each.stat()
            return each
        if each.is_symlink():
            raise FileNotFoundError(errno.ENOENT, f"{each} is a link to nowhere")
    return path


def open_storage(place: str | Path) -> Storage:
    """The storage at a path or URL; nothing is made there yet.

    Raises SettingsInvalid for a URL that can't be used, saying what is wrong with it or has to be installed.
    """
    if isinstance(place, Path) or not is_url(place):
        return Folder(Path(place))
    from imagen_batch.storage.object_store import open_bucket  # noqa: PLC0415 - fsspec, where it is needed only

    return open_bucket(place)
