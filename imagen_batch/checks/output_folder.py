"""Checks that the folder or bucket of a run can be written to and has space for its images."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from imagen_batch.checks.finding import Finding, ok, problem, warning
from imagen_batch.errors import SettingsInvalid
from imagen_batch.storage import STATE, Storage, check_location, is_url, open_storage
from imagen_batch.text import format_bytes, one_line

_TIGHT = 1.25  # below this multiple of the plan's need, space is tight
_LITTLE_BYTES = 1_000_000_000


def check_place(location: str, *, needed: int | None) -> Iterator[Finding]:
    """Check by writing a small file and removing it. `needed` are the bytes of the plan; None without a plan."""
    shown = one_line(location, 200)
    try:
        check_location(location)
        storage = open_storage(location)
        _try_to_write(location, storage)
        locked = storage.is_locked()
    except SettingsInvalid as error:
        yield problem("out", one_line(str(error), 400), "choose another --out, or correct that")
        return
    except OSError as error:
        reason = one_line(error.strerror or str(error), 300)
        yield problem("out", f"{shown} can't be written to: {reason}", "check its permissions and credentials")
        return
    yield ok("out", f"{shown} can be written to")
    if locked:
        yield warning("out", f"a run is using {shown} at the moment", f"see: imagen-batch status {shown}")
    yield from _check_space(storage, needed)


def _try_to_write(location: str, storage: Storage) -> None:
    if is_url(location):
        name = f"{STATE}/doctor-{uuid.uuid4().hex}"
        try:
            storage.put(name, b"written by imagen-batch doctor\n")
        finally:
            storage.remove(name)
        return
    path = Path(location).absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.is_dir())
    with tempfile.NamedTemporaryFile(dir=existing, prefix=".imagen-batch-doctor-") as file:
        file.write(b"\0" * 4096)
        file.flush()
        os.fsync(file.fileno())


def _check_space(storage: Storage, needed: int | None) -> Iterator[Finding]:
    free = storage.free()
    if free is None:
        yield ok("space", "a bucket has no limit that a run would notice")
    elif needed is None:
        text = f"{format_bytes(free)} are free"
        few = free < _LITTLE_BYTES
        yield warning("space", text, "make room; a 1K image takes about 1.5 MB") if few else ok("space", text)
    elif free < needed:
        text = f"{format_bytes(free)} are free, the images may need {format_bytes(needed)}"
        yield problem("space", text, "make room or choose another --out; a run stops before the disk is full")
    elif free < needed * _TIGHT:
        text = f"{format_bytes(free)} are free, the images may need {format_bytes(needed)}"
        yield warning("space", text, "make room: other programs write to this disk as well")
    else:
        yield ok("space", f"{format_bytes(free)} are free, the images may need {format_bytes(needed)}")
