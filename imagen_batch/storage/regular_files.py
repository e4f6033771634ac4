"""Lists a run's files without following links, and says what is no regular file.

A pipe would be read for ever, a device may do anything, and a link leads out of the run's folder. A bucket holds
none of these.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from imagen_batch.storage import Storage

FOLDER = "a folder"
_KINDS = {
    stat.S_IFDIR: FOLDER,
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def file_names(storage: Storage, below: str) -> Iterator[str]:
    """The name of everything below a name that is no folder, in one listing: no file is looked at."""
    if not storage.links:
        yield from (name for name, _ in storage.sizes(below))
        return
    root = str(storage.local(below))
    for parent, folders, names in os.walk(root):
        folders.sort()
        links = [name for name in folders if Path(parent, name).is_symlink()]  # listed, and not followed
        yield from (f"{below}{parent[len(root) :]}/{name}" for name in sorted([*names, *links]))


def irregularity(storage: Storage, name: str) -> str | None:
    """What stands under a name in place of a regular file, such as "a link to /tmp/x"; None for a file or nothing."""
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
        return _KINDS.get(stat.S_IFMT(mode), "no regular file")
    parent = linked_parent(storage, name)
    return None if parent is None else f"a file behind the link {parent}"


def linked_parent(storage: Storage, name: str) -> str | None:
    """The folder on the way that is a link. `images` itself may be one: some people keep images on another disk."""
    parents = [str(parent) for parent in PurePosixPath(name).parents][:-2]
    return next((parent for parent in reversed(parents) if storage.local(parent).is_symlink()), None)
