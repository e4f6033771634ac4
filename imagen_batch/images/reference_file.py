"""Reads a reference image from disk: a regular file of a type that image models take, whole and not too large.

A path comes from a prompt file, so it may name anything. Nothing but a regular file is read: a pipe would block, a
device has no end. The size is known before the first byte is read.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from imagen_batch.errors import InvalidImage, ReferenceUnusable
from imagen_batch.images.validate import validate
from imagen_batch.text import did_you_mean, format_bytes

_HEIF_BRANDS = (b"mif1", b"msf1")
_SUPPORTED = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WebP",
    "image/heic": "HEIC",
    "image/heif": "HEIF",
}
TYPES = "PNG, JPEG, WebP, HEIC or HEIF"
_MAX_NEIGHBORS = 2000  # file names that are compared with a missing one
_NOT_FILES = {
    stat.S_IFDIR: "it is a folder",
    stat.S_IFIFO: "it is a named pipe, not a file",
    stat.S_IFSOCK: "it is a socket, not a file",
    stat.S_IFCHR: "it is a device, not a file",
    stat.S_IFBLK: "it is a device, not a file",
}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """The facts about a reference image: the type and SHA-256 of its content, and its size in bytes."""

    mime_type: str
    sha256: str
    bytes: int


def is_supported(mime_type: str) -> bool:
    """Return whether image models take images of a type as input."""
    return mime_type in _SUPPORTED


def read_file(path: str, *, max_bytes: int) -> bytes:
    """Return the content of a file of at most `max_bytes` bytes. Raises ReferenceUnusable."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise ReferenceUnusable(_open_error(path, error)) from error
    try:
        data = _read_regular(descriptor, max_bytes)
    except OSError as error:
        raise ReferenceUnusable(f"it can't be read: {error.strerror or error}") from error
    finally:
        os.close(descriptor)
    require_size(len(data), max_bytes=max_bytes)
    return data


def _read_regular(descriptor: int, max_bytes: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ReferenceUnusable(_NOT_FILES.get(stat.S_IFMT(status.st_mode), "it is not a file"))
    require_size(status.st_size, max_bytes=max_bytes)
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(max_bytes + 1)


def require_size(size: int, *, max_bytes: int) -> None:
    """Raise ReferenceUnusable for an empty file, and for one that fits into no request."""
    if not size:
        raise ReferenceUnusable("it is empty")
    if size > max_bytes:
        raise ReferenceUnusable(
            f"it has {format_bytes(size)}; with its request it may have {format_bytes(max_bytes)}"
        )


def examine(data: bytes) -> FileFacts:
    """Return the facts about an image. Raises ReferenceUnusable for other content and for a damaged image."""
    try:
        info = validate(data)
    except InvalidImage as error:
        if error.kind == "not_a_picture":
            raise ReferenceUnusable(f"it is not an image of a known type; a reference image is {TYPES}") from error
        raise ReferenceUnusable(f"it is damaged: {error}") from error
    mime_type = "image/heif" if info.mime_type == "image/heic" and data[8:12] in _HEIF_BRANDS else info.mime_type
    if mime_type not in _SUPPORTED:
        name = mime_type.removeprefix("image/").upper()
        raise ReferenceUnusable(f"it is a {name} image; a reference image is {TYPES}")
    return FileFacts(mime_type, info.sha256, info.bytes)


def _open_error(path: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"there is no file {path}{_similar_name(Path(path))}"
    if isinstance(error, OSError):
        return f"it can't be opened: {error.strerror or error}"
    return f"it can't be opened: {error}"


def _similar_name(path: Path) -> str:
    """Return the nearest file name in the same folder, or nothing."""
    with suppress(OSError, ValueError), os.scandir(path.parent) as entries:
        names = [entry.name for entry in islice(entries, _MAX_NEIGHBORS)]
        other_type = [name for name in names if Path(name).stem.lower() == path.stem.lower()]
        return did_you_mean(path.name, other_type or names, cutoff=0.75)
    return ""
