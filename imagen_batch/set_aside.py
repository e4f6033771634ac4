"""How is a damaged folder made ready for a run that mends it, without anything being deleted?

What is not the recorded picture goes to `.imagen-batch/set-aside`, a picture whose bytes lie elsewhere comes
back from there, and one that has no record goes where the next run looks for such. What then is missing is the
smallest set that has to be paid for again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from imagen_batch.files import written
from imagen_batch.findings import Audit, Finding
from imagen_batch.locking import locked
from imagen_batch.shelf import STATE

_FOLDER = f"{STATE}/set-aside"


def set_aside(audit: Audit, folder: Path) -> int:
    """Clear the places of damaged pictures; returns how many files were set aside. Raises FolderBusy."""
    with locked(folder / STATE / "lock"):
        damaged = dict.fromkeys(one.path for one in audit.of("truncated", "altered") if one.path)
        moved = {path: _away(path, folder) for path in damaged}
        for finding in audit.of("missing", "truncated", "altered", "mislabelled"):
            if finding.found_at:
                _back(finding, folder / moved.get(finding.found_at, finding.found_at), folder)
        for finding in audit.of("unrecorded"):
            _within_reach(finding, folder)
    return len(moved)


def _away(path: str, folder: Path) -> str:
    """Move a file out of the way, under a name of its own."""
    target = next(name for name in _names(path) if not os.path.lexists(folder / name))
    (folder / target).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).rename(folder / target)
    return target


def _names(path: str) -> Iterator[str]:
    bare = PurePosixPath(path.removeprefix("images/"))
    yield f"{_FOLDER}/{bare}"
    for count in range(2, 1_000_000):
        yield f"{_FOLDER}/{bare.with_name(f'{bare.stem}_{count}{bare.suffix}')}"


def _back(finding: Finding, source: Path, folder: Path) -> None:
    """Copy a picture to its place: where it was found it may be somebody's own."""
    assert finding.path is not None
    target = folder / finding.path
    if not target.exists():
        with source.open("rb") as found, written(target) as file:
            shutil.copyfileobj(found, file)


def _within_reach(finding: Finding, folder: Path) -> None:
    assert finding.path is not None
    incoming = folder / STATE / "incoming" / f"{finding.key}_{finding.sample}"
    if folder / finding.path != incoming:
        incoming.parent.mkdir(exist_ok=True)
        (folder / finding.path).replace(incoming)
