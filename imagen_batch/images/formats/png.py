"""Validates PNG files chunk by chunk, and decodes images with Pillow for the other formats."""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import nullcontext

from zlib_ng.zlib_ng import crc32

from imagen_batch.errors import InvalidImage
from imagen_batch.images.formats.dimensions import Shape, require_size

_LARGE_PIXELS = 1 << 25  # twice the pixels of the largest image that a service produces
_LARGE_IMAGE_LOCK = threading.Lock()  # large images are decoded one at a time: each may take a few hundred megabytes

# Pillow's parsers raise all of these on broken files; a warning is raised where warnings are errors.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    Warning,
)

_PNG_CHUNK = struct.Struct(">I4s")
_PNG_SIZE = struct.Struct(">II5x")


def decode(data: bytes, plugin: str, *, name: str) -> tuple[int, int]:
    """Decode the first frame with one plugin of Pillow and return its sides; raises InvalidImage if that fails.

    Check the sides in the header with `require_size` first: Pillow warns of large ones while it opens a file.
    """
    from PIL import Image  # noqa: PLC0415 - not needed before the first image

    try:
        with Image.open(io.BytesIO(data), formats=(plugin,)) as image:
            width, height = image.size
            require_size(width, height)
            with _LARGE_IMAGE_LOCK if width * height > _LARGE_PIXELS else nullcontext():
                image.load()
            return width, height
    except (*_DECODER_ERRORS, Image.DecompressionBombError) as exc:
        raise InvalidImage(f"the {name} cannot be decoded: {exc}") from exc


def read_png(data: bytes) -> Shape:
    """Walk all chunks; raises InvalidImage unless each is complete, in its place and matches its checksum."""
    chunks = _png_chunks(memoryview(data))
    kind, header = next(chunks)
    if kind != b"IHDR" or len(header) != _PNG_SIZE.size:
        raise InvalidImage("the PNG does not begin with its header")
    width, height = _PNG_SIZE.unpack(header)
    require_size(width, height)
    kinds = {kind for kind, body in chunks if len(body)}
    if b"IDAT" not in kinds:
        raise InvalidImage("the PNG holds no pixels")
    return Shape(width, height, c2pa=b"caBX" in kinds)


def _png_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at, kind = 8, b""
    while kind != b"IEND":
        if at + 12 > len(view):
            raise InvalidImage(f"the PNG breaks off after {len(view)} bytes")
        size, kind = _PNG_CHUNK.unpack_from(view, at)
        end = at + 12 + size
        if end > len(view):
            raise InvalidImage(f"the PNG breaks off after {len(view)} bytes")
        if crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise InvalidImage(f"the PNG is damaged between bytes {at} and {end}: the checksum differs")
        yield kind, view[at + 8 : end - 4]
        at = end
