"""Moves damaged images to `set-aside` and restores images from other files; deletes nothing.

Each step is one rename or one conditional write, and can be repeated: a file that a kill leaves behind is in a folder
where the next audit finds it by its checksum (`images`, `set-aside`, `incoming`, `rescued`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import PurePosixPath

from imagen_batch.audit.findings import Audit, Finding
from imagen_batch.images.store import STAGING
from imagen_batch.storage import SET_ASIDE, Storage
from imagen_batch.storage.irregular_files import irregularity, linked_parent


def move_and_restore(audit: Audit, storage: Storage) -> int:
    """Move damaged images away and restore lost ones; returns the number of moved files.

    The caller holds the lock.
    """
    irregular = [finding.path for finding in audit.of("irregular") if finding.path and finding.row is not None]
    moved = {path: _copy_target(path, storage) for path in irregular}  # all, before the first link is moved
    for path in irregular:
        name = linked_parent(storage, path) or path
        if irregularity(storage, name) is not None:
            _set_aside(name, storage)
    damaged = dict.fromkeys(finding.path for finding in audit.of("truncated", "altered") if finding.path)
    moved |= {path: _set_aside(path, storage) for path in damaged if not irregularity(storage, path)}
    for finding in audit.of("missing", "truncated", "altered", "mislabelled", "irregular"):
        if finding.found_at and finding.row is not None:
            _restore(finding, moved.get(finding.found_at, finding.found_at), storage)
    for finding in audit.of("unrecorded"):
        _stage_for_recovery(finding, storage)
    return len(moved)


def keep_copy(name: str, storage: Storage) -> None:
    """Copy a table before it is rewritten: it may contain the user's edits."""
    if irregularity(storage, name) is not None:
        _set_aside(name, storage)
    elif storage.size(name) is not None:
        data = storage.read(name)
        # The name has the hash, so that repeated repairs keep the same bytes once.
        storage.create(f"{SET_ASIDE}/{hashlib.sha256(data).hexdigest()[:8]}-{name}", data)


def _set_aside(path: str, storage: Storage) -> str:
    """Move a file to an unused name below `set-aside`."""
    target = next(
        name for name in _targets(path) if storage.size(name) is None and irregularity(storage, name) is None
    )
    storage.move(path, target)
    return target


def _copy_target(path: str, storage: Storage) -> str:
    """Copy the file that a link leads to, so that only the link is moved; returns the path of the copy."""
    target = storage.local(path)
    if not target.is_file():
        return path
    data = target.read_bytes()
    copy = f"{SET_ASIDE}/{hashlib.sha256(data).hexdigest()[:16]}-{PurePosixPath(path).name}"
    storage.create(copy, data)
    return copy


def _targets(path: str) -> Iterator[str]:
    name = PurePosixPath(path.removeprefix("images/"))
    yield f"{SET_ASIDE}/{name}"
    for count in range(2, 1_000_000):
        yield f"{SET_ASIDE}/{name.with_name(f'{name.stem}_{count}{name.suffix}')}"


def _restore(finding: Finding, source: str, storage: Storage) -> None:
    """Copy an image to its place. The source stays: it may be the user's own file."""
    assert finding.path is not None
    storage.create(finding.path, storage.read(source))


def _stage_for_recovery(finding: Finding, storage: Storage) -> None:
    assert finding.path is not None
    staged = f"{STAGING}/{finding.key}_{finding.sample}"
    if finding.path != staged:
        storage.move(finding.path, staged)
