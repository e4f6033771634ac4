"""Validates PNG files chunk by chunk: each is complete, in its place, and matches its checksum."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from zlib_ng.zlib_ng import crc32

from imagen_batch.errors import InvalidImage
from imagen_batch.images.formats.shape_limits import Shape, require_size

_PNG_CHUNK = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_PNG_SIZE = struct.Struct(">II5x")


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
    at, kind, length = 8, b"", len(view)
    while kind != b"IEND":
        if at + 12 > length:
            raise InvalidImage(f"the PNG breaks off after {length} bytes")
        size, kind = _PNG_CHUNK.unpack_from(view, at)
        end = at + 12 + size
        if end > length:
            raise InvalidImage(f"the PNG breaks off after {length} bytes")
        if crc32(view[at + 4 : end - 4]) != _CRC.unpack_from(view, end - 4)[0]:
            raise InvalidImage(f"the PNG is damaged between bytes {at} and {end}: the checksum differs")
        yield kind, view[at + 8 : end - 4]
        at = end
