"""Checks that received bytes are a whole image, and reads its type and size.

The content decides, not the stated type. No byte is changed: re-encoding would strip the signed provenance data.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from imagen_batch.errors import InvalidImage
from imagen_batch.images.flat_color import is_flat_color
from imagen_batch.images.formats.avif_heic_boxes import read_avif, read_heic
from imagen_batch.images.formats.gif_bmp_jpeg2000 import read_bmp, read_codestream, read_gif, read_jp2
from imagen_batch.images.formats.jpeg import read_jpeg
from imagen_batch.images.formats.png import read_png
from imagen_batch.images.formats.shape_limits import Shape
from imagen_batch.images.formats.tiff import read_tiff
from imagen_batch.images.formats.webp import read_webp
from imagen_batch.records import SampleResult


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The facts about an image file for the manifest. Sides are in pixels; `sha256` is hex, of the whole file."""

    mime_type: str  # of the bytes, not as the service stated it
    extension: str
    width: int
    height: int
    bytes: int
    sha256: str
    c2pa: bool  # carries a signed statement of its origin; the signature is not verified
    flat_color: bool = False  # the whole image is of one color

    def add_to(self, sample: SampleResult) -> SampleResult:
        """Return the sample with these facts about its image."""
        return replace(
            sample,
            mime_type=self.mime_type,
            width=self.width,
            height=self.height,
            bytes=self.bytes,
            sha256=self.sha256,
            c2pa=self.c2pa,
            warnings=("flat_color",) if self.flat_color else (),
        )


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

# Formats that no service produces today. Each signature has a fixed length or reads at most 64 bytes.
_RARE_KINDS = (
    _Kind(re.compile(rb"GIF8[79]a"), "image/gif", ".gif", read_gif),
    _Kind(re.compile(rb"....ftyp(?=.{0,64}?avi[fs])", re.DOTALL), "image/avif", ".avif", read_avif),
    _Kind(
        re.compile(rb"....ftyp(?=.{0,64}?(?:hei[cmsx]|hev[cx]|mif1|msf1))", re.DOTALL),
        "image/heic",
        ".heic",
        read_heic,
    ),
    _Kind(re.compile(rb"II[*+]\0|MM\0[*+]"), "image/tiff", ".tif", read_tiff),
    _Kind(re.compile(rb"BM.{4}\0\0\0\0.{4}[\x0c-\x7c]\0\0\0", re.DOTALL), "image/bmp", ".bmp", read_bmp),
    _Kind(re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n"), "image/jp2", ".jp2", read_jp2),
    _Kind(re.compile(rb"\xff\x4f\xff\x51"), "image/j2c", ".j2c", read_codestream),
)

EXTENSION_OF = {kind.mime_type: kind.extension for kind in (*_KINDS, *_RARE_KINDS)}
"""The file name extension of each MIME type."""

EXTENSIONS = tuple(EXTENSION_OF.values())
"""Every extension that the name of an image may have."""

# Other names that services and gateways use for the same types.
_SYNONYMS = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/x-bmp": "image/bmp",
    "image/tif": "image/tiff",
    "image/heif": "image/heic",
    "image/jpeg2000": "image/jp2",
    "image/jpx": "image/jp2",
}
_NO_STATEMENT = frozenset({"", "*/*", "image/*", "application/octet-stream", "binary/octet-stream"})


def validate(data: bytes) -> ImageInfo:
    """Return the facts about a whole image; raises InvalidImage for anything else."""
    kind = next((kind for kind in (*_KINDS, *_RARE_KINDS) if kind.signature.match(data)), None)
    if kind is None:
        start = f"{len(data)} bytes that begin with {data[:12]!r}"
        message = f"not a PNG, JPEG or WebP, nor another known image type: {start}"
        raise InvalidImage(message, kind="not_a_picture")
    shape = kind.read(data)
    return ImageInfo(
        mime_type=kind.mime_type,
        extension=kind.extension,
        width=shape.width,
        height=shape.height,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        c2pa=shape.c2pa,
        flat_color=is_flat_color(data, kind.mime_type, pixels=shape.width * shape.height),
    )


def is_rare(info: ImageInfo) -> bool:
    """Whether the image has a type that no service produces today and that some tools can't read."""
    return all(info.mime_type != kind.mime_type for kind in _KINDS)


def contradicts(stated: str | None, info: ImageInfo) -> bool:
    """Whether the MIME type that a service stated is wrong. A missing or generic type contradicts nothing."""
    plain = (stated or "").partition(";")[0].strip().lower()
    return plain not in _NO_STATEMENT and _SYNONYMS.get(plain, plain) != info.mime_type
