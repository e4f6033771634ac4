"""Makes the places of damaged images free and puts found images back, without deleting anything.

Each step is one rename or one conditional write, and every step can be repeated: whatever a kill leaves behind lies
in a place where the next audit looks for it by its checksum (`images`, `set-aside`, `incoming`, `rescued`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from imagen_batch.audit.findings import Audit, Finding
from imagen_batch.images.store import STAGING
from imagen_batch.storage import SET_ASIDE, Storage, open_storage
from imagen_batch.storage.regular_files import irregularity, linked_parent


def quarantine_damaged(audit: Audit, place: str | Path) -> int:
    """Clear the places of damaged images; returns how many files were set aside. Raises FolderBusy."""
    storage = open_storage(place)
    with storage.locked():
        return clear_places(audit, storage)


def clear_places(audit: Audit, storage: Storage) -> int:
    """The same for whoever holds the lock."""
    odd = [one.path for one in audit.of("irregular") if one.path and one.row is not None]
    moved = {path: _copied(path, storage) for path in odd}  # all, before the first link is moved
    for path in odd:
        name = linked_parent(storage, path) or path
        if irregularity(storage, name) is not None:
            _quarantine(name, storage)
    damaged = dict.fromkeys(one.path for one in audit.of("truncated", "altered") if one.path)
    moved |= {path: _quarantine(path, storage) for path in damaged if not irregularity(storage, path)}
    for finding in audit.of("missing", "truncated", "altered", "mislabelled", "irregular"):
        if finding.found_at and finding.row is not None:
            _restore(finding, moved.get(finding.found_at, finding.found_at), storage)
    for finding in audit.of("unrecorded"):
        _stage_for_recovery(finding, storage)
    return len(moved)


def keep_copy(name: str, storage: Storage) -> None:
    """Keep what a table holds now: it is written again, and may hold edits of the user's."""
    if irregularity(storage, name) is not None:
        _quarantine(name, storage)
    elif storage.size(name) is not None:
        data = storage.read(name)
        # The same bytes are kept once, however often a repair is started.
        storage.create(f"{SET_ASIDE}/{hashlib.sha256(data).hexdigest()[:8]}-{name}", data)


def _quarantine(path: str, storage: Storage) -> str:
    """Move a file out of the way, under a name of its own."""
    target = next(name for name in _names(path) if storage.size(name) is None and irregularity(storage, name) is None)
    storage.move(path, target)
    return target


def _copied(path: str, storage: Storage) -> str:
    """Copy what a link leads to, so that the link alone can be moved; returns where the bytes are now."""
    behind = storage.local(path)
    if not behind.is_file():
        return path
    data = behind.read_bytes()
    copy = f"{SET_ASIDE}/{hashlib.sha256(data).hexdigest()[:16]}-{PurePosixPath(path).name}"
    storage.create(copy, data)
    return copy


def _names(path: str) -> Iterator[str]:
    bare = PurePosixPath(path.removeprefix("images/"))
    yield f"{SET_ASIDE}/{bare}"
    for count in range(2, 1_000_000):
        yield f"{SET_ASIDE}/{bare.with_name(f'{bare.stem}_{count}{bare.suffix}')}"


def _restore(finding: Finding, source: str, storage: Storage) -> None:
    """Copy a picture to its place: where it was found it may be somebody's own."""
    assert finding.path is not None
    storage.create(finding.path, storage.read(source))


def _stage_for_recovery(finding: Finding, storage: Storage) -> None:
    assert finding.path is not None
    incoming = f"{STAGING}/{finding.key}_{finding.sample}"
    if finding.path != incoming:
        storage.move(finding.path, incoming)
