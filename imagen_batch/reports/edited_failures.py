"""Keeps a failures.csv that the user edited from being written over.

What a run wrote is remembered by its SHA-256. A file with other bytes is the user's work: it is kept beside under
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
    storage: Storage, *, taken: str | None = None, say: Callable[[str], None] = lambda _text: None
) -> None:
    """Copy an edited failures.csv to a name of its own. `taken` is the SHA-256 of one that is this run's input."""
    content = _read(storage, FAILURES)
    if taken is not None:
        storage.put(_TAKEN, taken.encode())
    if content is None or not _edited(content, storage):
        return
    name = next(name for name in _names() if _read(storage, name) in (None, content))
    if storage.create(name, content):
        folder = storage.place if is_url(storage.place) else os.path.abspath(storage.place)  # noqa: PTH100
        command = shlex.join(["imagen-batch", "run", f"{folder}/{name}"])
        say(f"failures.csv was edited and is not this run's input: kept as {name}; to use it: {command}")


def remember_written(storage: Storage) -> None:
    """Remember what this run wrote."""
    with suppress(OSError):  # then the next run keeps a copy that nobody needed
        storage.put(_WRITTEN, sha256(storage.read(FAILURES)).hexdigest().encode())
        storage.remove(_TAKEN)


def _edited(content: bytes, storage: Storage) -> bool:
    ours = [_read(storage, name) for name in (_WRITTEN, _TAKEN)]
    if ours[0] is None and content.count(b"\n") < 2:
        return False  # an earlier version's, with a header alone
    return sha256(content).hexdigest().encode() not in ours


def _read(storage: Storage, name: str) -> bytes | None:
    try:
        return storage.read(name)
    except OSError:
        return None


def _names() -> Iterator[str]:
    yield "failures.edited.csv"
    yield from (f"failures.edited-{number}.csv" for number in range(2, 1_000_000))
