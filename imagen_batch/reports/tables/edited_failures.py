"""Keeps a failures.csv that the user edited from being overwritten.

The SHA-256 of the file that a run wrote is stored. A file with other bytes is the user's work: it is copied to
another name, unless it is the input of the run.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Final

from imagen_batch.storage import STATE, Storage, is_url

FAILURES: Final = "failures.csv"
_WRITTEN: Final = f"{STATE}/failures.sha256"
_TAKEN: Final = f"{STATE}/failures-taken.sha256"


def protect_edits(
    storage: Storage, *, taken: str | None = None, notify: Callable[[str], None] = lambda _text: None
) -> None:
    """Copy an edited failures.csv to a name of its own. `taken` is the SHA-256 of this run's input."""
    content = _read(storage, FAILURES)
    if taken is not None:
        storage.put(_TAKEN, taken.encode())
    if content is None or not _is_edited(content, storage):
        return
    name = next(name for name in _copy_names() if _read(storage, name) in (None, content))
    if storage.create(name, content):
        folder = storage.location if is_url(storage.location) else os.path.abspath(storage.location)  # noqa: PTH100
        command = shlex.join(["imagen-batch", "run", f"{folder}/{name}"])
        notify(f"failures.csv was edited and is not this run's input: kept as {name}. To use it: {command}")


def remember_written(storage: Storage) -> None:
    """Store the SHA-256 of the file that this run wrote."""
    with suppress(OSError):  # the worst consequence is an unnecessary copy
        storage.put(_WRITTEN, sha256(storage.read(FAILURES)).hexdigest().encode())
        storage.remove(_TAKEN)


def _is_edited(content: bytes, storage: Storage) -> bool:
    known = [_read(storage, name) for name in (_WRITTEN, _TAKEN)]
    if known[0] is None and content.count(b"\n") < 2:
        return False  # written by an earlier version, with nothing but a header
    return sha256(content).hexdigest().encode() not in known


def _read(storage: Storage, name: str) -> bytes | None:
    try:
        return storage.read(name)
    except OSError:
        return None


def _copy_names() -> Iterator[str]:
    yield "failures.edited.csv"
    yield from (f"failures.edited-{number}.csv" for number in range(2, 1_000_000))
