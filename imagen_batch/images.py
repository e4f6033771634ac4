"""Are these bytes a whole picture?

Decided by content, and never a byte is changed: re-encoding would strip the provenance data that services sign.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

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


EXTENSION_OF = {kind.mime_type: kind.extension for kind in _KINDS}
"""What the name of a picture of each type ends with."""

EXTENSIONS = tuple(EXTENSION_OF.values())
"""What names of pictures end with."""


def inspect(data: bytes) -> Facts:
    """The facts of a sound PNG, JPEG or WebP; raises Transient for anything else, saying what is wrong."""
    kind = next((kind for kind in _KINDS if kind.signature.match(data)), None)
    if kind is None:
        message = f"not a PNG, JPEG or WebP: {len(data)} bytes that begin with {data[:12]!r}"
        raise Transient(message, kind="not_a_picture", maybe_charged=True)
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
