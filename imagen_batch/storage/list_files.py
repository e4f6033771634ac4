"""Lists the names of a run's files without following links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from imagen_batch.storage import Storage


def file_names(storage: Storage, below: str) -> Iterator[str]:
    """Yield every name below a name that is not a folder, from one listing, without looking at the files."""
    if not storage.links:
        yield from (name for name, _ in storage.sizes(below))
        return
    root = str(storage.local(below))
    for parent, folders, names in os.walk(root):
        folders.sort()
        links = [name for name in folders if Path(parent, name).is_symlink()]  # listed, not followed
        yield from (f"{below}{parent[len(root) :]}/{name}" for name in sorted([*names, *links]))
