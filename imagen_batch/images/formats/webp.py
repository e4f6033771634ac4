"""Validates WebP files."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from imagen_batch.errors import InvalidImage
from imagen_batch.images.formats.decode_with_pillow import decode
from imagen_batch.images.formats.shape_limits import Shape, require_size

_WEBP_CHUNK = struct.Struct("<4sI")


def read_webp(data: bytes) -> Shape:
    """Walk all chunks, then decode; raises InvalidImage where either fails."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise InvalidImage(f"the WebP breaks off after {len(data)} of {end} bytes")
    chunks = dict(_webp_chunks(memoryview(data)[:end]))
    width, height = _webp_size(chunks)
    require_size(width, height)
    decode(data[:end], "WEBP", name="WebP")
    return Shape(width, height, c2pa=b"C2PA" in chunks)


def _webp_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 12
    while at < len(view):
        if at + 8 > len(view):
            raise InvalidImage(f"the WebP has stray bytes at {at}")
        kind, size = _WEBP_CHUNK.unpack_from(view, at)
        body = view[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
        if at > len(view):
            raise InvalidImage("a chunk of the WebP reaches beyond the end of the file")
        yield kind, body


def _webp_size(chunks: dict[bytes, memoryview]) -> tuple[int, int]:
    """Return width and height from the first header: extended, lossy or lossless."""
    head = bytes(next(iter(chunks.values()), b"")[:10])
    kind = next(iter(chunks), b"")
    if kind == b"VP8X" and len(head) == 10:
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) == 10:
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    if kind == b"VP8L" and head[:1] == b"\x2f":
        sides = int.from_bytes(head[1:5], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    raise InvalidImage("the WebP does not begin with an image")
