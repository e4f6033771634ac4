"""Recognizes an image that is a single flat color.

The bytes of the file decide for nearly all images, at no cost: a flat color compresses to next to nothing. Only a
suspiciously small file is decoded, a JPEG at an eighth of its size.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from PIL import Image


def is_flat_color(data: bytes, mime_type: str, *, pixels: int) -> bool:
    """Whether a whole, checked image is of one color. False for other types than the usual three; raises nothing."""
    kind = _KINDS.get(mime_type)
    if kind is None or pixels > _MAX_PIXELS:
        return False
    max_bytes = pixels * kind.bytes_per_pixel + _HEADER_BYTES
    if len(data) > max_bytes + _METADATA_BYTES:
        return False
    # Pillow's decoders raise many kinds of errors, and a failed check must never lose an image.
    try:
        if kind.count_pixel_bytes(data) > max_bytes:
            return False
        with Image.open(io.BytesIO(data), formats=(kind.plugin,)) as image:
            image.draft("RGB", (1, 1))  # JPEG only: decodes at an eighth of the size
            return _has_one_level(image)
    except Exception:  # noqa: BLE001
        return False


def _has_one_level(image: Image.Image) -> bool:
    """Whether no channel varies; a fully transparent image is flat, too."""
    extrema = image.getextrema()
    bands = [extrema] if isinstance(extrema[0], int | float) else extrema
    if image.mode in {"LA", "RGBA"} and tuple(bands[-1]) == (0, 0):
        return True
    if image.mode == "P":  # levels are numbers of palette entries
        return bool(bands[0][0] == bands[0][1])
    return all(high - low <= _MAX_LEVEL_DIFFERENCE for low, high in bands)


def _png_pixel_bytes(data: bytes) -> int:
    total, at = 0, 8
    while at < len(data):
        length, kind = _PNG_CHUNK.unpack_from(data, at)
        total += length if kind == b"IDAT" else 0
        at += length + 12
    return total


def _jpeg_pixel_bytes(data: bytes) -> int:
    """Return the bytes from the first scan on; metadata and tables come before."""
    at = 2
    while at < len(data):
        marker, length = _JPEG_SEGMENT.unpack_from(data, at)
        if marker == _START_OF_SCAN:
            break
        at += length + 2
    return len(data) - at


@dataclass(frozen=True, slots=True)
class _Kind:
    plugin: str
    bytes_per_pixel: float  # upper limit for a flat image; a JPEG has some bits for each block of 8 x 8 pixels
    count_pixel_bytes: Callable[[bytes], int]


_PNG_CHUNK: Final = struct.Struct(">I4s")
_JPEG_SEGMENT: Final = struct.Struct(">HH")
_START_OF_SCAN: Final = 0xFFDA
_KINDS: Final[Mapping[str, _Kind]] = {
    "image/png": _Kind("PNG", 0.016, _png_pixel_bytes),
    "image/jpeg": _Kind("JPEG", 0.03, _jpeg_pixel_bytes),
    "image/webp": _Kind("WEBP", 0.006, len),
}
_HEADER_BYTES: Final = 1024
_METADATA_BYTES: Final = 256 * 1024  # signed provenance, a color profile, a small preview
_MAX_PIXELS: Final = 1 << 25  # twice the pixels of the largest image that a service produces
_MAX_LEVEL_DIFFERENCE: Final = 2  # invisible; a lossy format may add such differences
