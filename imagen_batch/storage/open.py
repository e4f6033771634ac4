"""Opens the storage that a path or URL names, and checks locations before anything is sent."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagen_batch.errors import LedgerDamaged, SettingsInvalid
from imagen_batch.storage.folder import Folder
from imagen_batch.storage.interface import Storage

_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_url(location: str) -> bool:
    """Whether `location` is in an object store instead of a path of this machine."""
    return _URL.match(location) is not None


@contextmanager
def explain_storage_errors(location: str | Path, *, to: str) -> Iterator[None]:
    """Turn an OSError of the block into SettingsInvalid, whose message names the location: "can't {to}: ..."."""
    try:
        yield
    except LedgerDamaged as damage:  # its path is a local copy where the run is in a bucket
        damage.location = str(location)
        raise
    except OSError as error:
        raise SettingsInvalid(f"--out {location}: can't {to}: {error.strerror or error}") from error


def check_location(location: str) -> None:
    """Raise SettingsInvalid for an impossible or unwritable folder; create nothing."""
    if is_url(location):
        return
    if not location.strip():
        raise SettingsInvalid("--out is empty: give a folder or a URL")
    with explain_storage_errors(location, to="be used"):
        existing = _nearest_existing(Path(location).absolute())
        if not existing.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{existing} is a file, not a folder")
        longest = os.pathconf(existing, "PC_NAME_MAX")
        if any(len(os.fsencode(part)) > longest for part in Path(location).parts):
            raise OSError(errno.ENAMETOOLONG, f"a name in it has more than {longest} bytes")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, f"{existing} can't be written to")


def _nearest_existing(path: Path) -> Path:
    """Return the path itself, or its lowest parent folder that exists."""
    for folder in (path, *path.parents):
        with suppress(FileNotFoundError, NotADirectoryError):
            folder.stat()
            return folder
        if folder.is_symlink():
            raise FileNotFoundError(errno.ENOENT, f"{folder} is a link to nowhere")
    return path


def open_storage(location: str | Path) -> Storage:
    """Return the storage at a path or URL; create nothing yet.

    Raises SettingsInvalid for an unusable URL, saying what is wrong with it or which package to install.
    """
    if isinstance(location, Path) or not is_url(location):
        return Folder(Path(location))
    from imagen_batch.storage.objects.object_store import open_object_store  # noqa: PLC0415 - fsspec loads slowly

    return open_object_store(location)
