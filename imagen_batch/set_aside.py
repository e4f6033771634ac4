"""How is a damaged folder made ready for a run that mends it, without anything being deleted?

What is not the recorded picture goes to `.imagen-batch/set-aside`, a picture whose bytes lie elsewhere comes
back from there, and one that has no record goes where the next run looks for such. What then is missing is the
smallest set that has to be paid for again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from imagen_batch.findings import Audit, Finding
from imagen_batch.shelf import INCOMING
from imagen_batch.storage import STATE, Storage, open_storage

_FOLDER = f"{STATE}/set-aside"


def set_aside(audit: Audit, place: str | Path) -> int:
    """Clear the places of damaged pictures; returns how many files were set aside. Raises FolderBusy."""
    storage = open_storage(place)
    with storage.locked():
        damaged = dict.fromkeys(one.path for one in audit.of("truncated", "altered") if one.path)
        moved = {path: _away(path, storage) for path in damaged}
        for finding in audit.of("missing", "truncated", "altered", "mislabelled"):
            if finding.found_at:
                _back(finding, moved.get(finding.found_at, finding.found_at), storage)
        for finding in audit.of("unrecorded"):
            _within_reach(finding, storage)
    return len(moved)


def _away(path: str, storage: Storage) -> str:
    """Move a file out of the way, under a name of its own."""
    target = next(name for name in _names(path) if storage.size(name) is None)
    storage.move(path, target)
    return target


def _names(path: str) -> Iterator[str]:
    bare = PurePosixPath(path.removeprefix("images/"))
    yield f"{_FOLDER}/{bare}"
    for count in range(2, 1_000_000):
        yield f"{_FOLDER}/{bare.with_name(f'{bare.stem}_{count}{bare.suffix}')}"


def _back(finding: Finding, source: str, storage: Storage) -> None:
    """Copy a picture to its place: where it was found it may be somebody's own."""
    assert finding.path is not None
    storage.create(finding.path, storage.read(source))


def _within_reach(finding: Finding, storage: Storage) -> None:
    assert finding.path is not None
    incoming = f"{INCOMING}/{finding.key}_{finding.sample}"
    if finding.path != incoming:
        storage.move(finding.path, incoming)
