"""Describes files of a run that are not regular files: links, pipes, devices, folders.

Reading a pipe would never end, a device may do anything, and a link leads out of the run's folder. A bucket contains
none of these.
"""

from __future__ import annotations

import stat
from pathlib import PurePosixPath

from imagen_batch.storage import Storage

FOLDER = "a folder"
_KINDS = {
    stat.S_IFDIR: FOLDER,
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def irregularity(storage: Storage, name: str) -> str | None:
    """Describe what has a name in place of a regular file ("a link to /tmp/x"); None for a file or a missing name."""
    if not storage.links:
        return None
    path = storage.local(name)
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = stat.S_IFREG
    if stat.S_ISLNK(mode):
        return f"a link to {path.readlink()}"
    if not stat.S_ISREG(mode):
        return _KINDS.get(stat.S_IFMT(mode), "not a regular file")
    parent = linked_parent(storage, name)
    return None if parent is None else f"a file behind the link {parent}"


def linked_parent(storage: Storage, name: str) -> str | None:
    """Return the parent folder that is a link, if any. `images` itself may be one: users keep it on another disk."""
    parents = [str(parent) for parent in PurePosixPath(name).parents][:-2]
    return next((parent for parent in reversed(parents) if storage.local(parent).is_symlink()), None)
