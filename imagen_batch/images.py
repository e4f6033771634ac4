"""Are these bytes a whole picture, and is it on disk, whole, under its name?

`inspect` decides by content and never changes a byte: re-encoding would strip the provenance data that the
services sign. `save` makes one complete file or none.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imagen_batch.errors import Transient
from imagen_batch.formats import Shape, read_png, read_webp
from imagen_batch.jpeg import read_jpeg


@dataclass(frozen=True, slots=True)
class Facts:
    """What the manifest says about a picture. Sides are pixels; `sha256` is hex, of the whole file."""

    mime_type: str  # what the bytes are, whatever the service called them
    extension: str
    width: int
    height: int
    bytes: int
    sha256: str
    c2pa: bool  # carries a signed statement of its origin; whether that is valid is not asked


@dataclass(frozen=True, slots=True)
class _Kind:
    signature: re.Pattern[bytes]
    mime_type: str
    extension: str
    read: Callable[[bytes], Shape]


_KINDS = (
    _Kind(re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png", ".png", read_png),
    _Kind(re.compile(rb"\xff\xd8\xff"), "image/jpeg", ".jpg", read_jpeg),
    _Kind(re.compile(rb"RIFF[\x00-\xff]{4}WEBP"), "image/webp", ".webp", read_webp),
)


_LEFTOVER = re.compile(r"\.[0-9a-f]{32}\.part")
_RENAMING = threading.Lock()


def inspect(data: bytes) -> Facts:
    """The facts of a sound PNG, JPEG or WebP; raises Transient for anything else, saying what is wrong."""
    kind = next((kind for kind in _KINDS if kind.signature.match(data)), None)
    if kind is None:
        message = f"not a PNG, JPEG or WebP: {len(data)} bytes that begin with {data[:12]!r}"
        raise Transient(message, kind="not_a_picture", maybe_charged=True, lost=True)
    shape = kind.read(data)
    return Facts(
        mime_type=kind.mime_type,
        extension=kind.extension,
        width=shape.width,
        height=shape.height,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        c2pa=shape.c2pa,
    )


def save(data: bytes, target: Path, *, link: Callable[[Path, Path], None] = os.link) -> Path:
    """Put `data` under `target`, flushed to disk, as a whole file or not at all; returns `target`.

    A file that is there already is never touched: with the same bytes it is what was wanted, with others
    FileExistsError is raised. The name itself is durable after `sync_folder(target.parent)`.
    """
    _make_folder(target.parent)
    if _holds(target, data):
        return target
    part = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        _write(data, part)
        _publish(part, target, link=link)
    except FileExistsError:
        if not _holds(target, data):
            raise
    finally:
        part.unlink(missing_ok=True)
    return target


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Apart from `save`, so that many pictures can share one flush."""
    if os.name == "nt":
        return  # Windows opens no folders, and keeps names without being asked
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_leftovers(folder: Path) -> int:
    """Delete what a killed run was still writing, at any depth; returns how many files that were.

    Only for whoever holds the folder's lock.
    """
    leftovers = [part for part in folder.rglob(".*.part") if _LEFTOVER.fullmatch(part.name)]
    for part in leftovers:
        part.unlink(missing_ok=True)
    return len(leftovers)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _holds(target: Path, data: bytes) -> bool:
    return target.is_file() and target.stat().st_size == len(data) and target.read_bytes() == data


def _write(data: bytes, part: Path) -> None:
    with part.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _publish(part: Path, target: Path, *, link: Callable[[Path, Path], None]) -> None:
    """Give the file its name, unless that is taken. A second link is the one way that never overwrites."""
    try:
        link(part, target)
    except FileExistsError:
        raise
    except OSError:  # FAT, some network file systems: no hard links
        _rename(part, target)


def _rename(part: Path, target: Path) -> None:
    """Look, then rename: other threads are kept out here, other processes by the lock of the run's folder."""
    with _RENAMING:
        if os.path.lexists(target):
            raise FileExistsError(f"{target} exists")
        part.rename(target)
