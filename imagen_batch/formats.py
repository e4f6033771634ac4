"""Is this PNG or WebP whole, and what does it say about itself?

    PNG   every chunk to IEND with its CRC-32: any change of any byte is seen, and no pixel is decoded
    WebP  the lengths of the file and its chunks, then one decode: any cut is seen, but WebP has no
          checksum, so changed pixels are seen only where the decoder trips over them (even a megabyte
          of zeros can be sound: that is how a plain area is coded)

Formats that the services do not make today are read in `rare_formats`, `tiff` and `boxes`.

Bytes after the end are tolerated: the picture is whole, every viewer ignores them, and a refusal would
mean to pay again.
"""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from PIL import Image
from zlib_ng.zlib_ng import crc32

from imagen_batch.errors import Transient

_SIDE_MAX = 20_000
_PIXELS_MAX = 89_478_485  # where Pillow begins to warn of decompression bombs

_LARGE_PIXELS = 1 << 25  # twice what the largest picture of a service has
_LARGE = threading.Lock()  # one such picture is decoded at a time: each may take some hundred megabytes

# What Pillow's parsers raise on broken files besides OSError; a warning raises where warnings are errors.
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
    Image.DecompressionBombError,
    Warning,
)

_PNG_CHUNK = struct.Struct(">I4s")
_PNG_SIZE = struct.Struct(">II5x")
_WEBP_CHUNK = struct.Struct("<4sI")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a sound picture says about itself. Sides are pixels; `c2pa`: carries signed provenance."""

    width: int
    height: int
    c2pa: bool


def damaged(message: str) -> Transient:
    """The error for a picture that came, and was billed, but is not whole."""
    return Transient(message, kind="damaged_picture", maybe_charged=True)


def require_size(width: int, height: int) -> None:
    """Refuse sides that no service makes, before a decoder sets memory aside for them."""
    if not (0 < width <= _SIDE_MAX and 0 < height <= _SIDE_MAX and width * height <= _PIXELS_MAX):
        raise damaged(f"the picture claims to be {width} x {height} pixels")


def decode(data: bytes, plugin: str, *, name: str) -> tuple[int, int]:
    """Decode the first frame with one plugin of Pillow; returns its sides, raises `damaged` where that fails.

    Check the sides in the header with `require_size` first: Pillow warns of large ones while it opens a file.
    """
    try:
        with Image.open(io.BytesIO(data), formats=(plugin,)) as picture:
            width, height = picture.size
            require_size(width, height)
            with _LARGE if width * height > _LARGE_PIXELS else nullcontext():
                picture.load()
            return width, height
    except _DECODER_ERRORS as exc:
        raise damaged(f"the {name} cannot be decoded: {exc}") from exc


def read_png(data: bytes) -> Shape:
    """Walk all chunks; raises `damaged` unless each is sound and in its place."""
    chunks = _png_chunks(memoryview(data))
    kind, header = next(chunks)
    if kind != b"IHDR" or len(header) != _PNG_SIZE.size:
        raise damaged("the PNG does not begin with its header")
    width, height = _PNG_SIZE.unpack(header)
    require_size(width, height)
    kinds = {kind for kind, body in chunks if len(body)}
    if b"IDAT" not in kinds:
        raise damaged("the PNG holds no pixels")
    return Shape(width, height, c2pa=b"caBX" in kinds)


def _png_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at, kind = 8, b""
    while kind != b"IEND":
        if at + 12 > len(view):
            raise damaged(f"the PNG breaks off after {len(view)} bytes")
        size, kind = _PNG_CHUNK.unpack_from(view, at)
        end = at + 12 + size
        if end > len(view):
            raise damaged(f"the PNG breaks off after {len(view)} bytes")
        if crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise damaged(f"the PNG is damaged between bytes {at} and {end}: the checksum differs")
        yield kind, view[at + 8 : end - 4]
        at = end


def read_webp(data: bytes) -> Shape:
    """Walk all chunks and decode once; raises `damaged` where either fails."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise damaged(f"the WebP breaks off after {len(data)} of {end} bytes")
    chunks = dict(_webp_chunks(memoryview(data)[:end]))
    width, height = _webp_size(chunks)
    require_size(width, height)
    decode(data[:end], "WEBP", name="WebP")
    return Shape(width, height, c2pa=b"C2PA" in chunks)


def _webp_chunks(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    at = 12
    while at < len(view):
        if at + 8 > len(view):
            raise damaged(f"the WebP has stray bytes at {at}")
        kind, size = _WEBP_CHUNK.unpack_from(view, at)
        body = view[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
        if at > len(view):
            raise damaged("a chunk of the WebP reaches beyond the end of the file")
        yield kind, body


def _webp_size(chunks: dict[bytes, memoryview]) -> tuple[int, int]:
    """The sides from whichever header there is: extended, lossy or lossless."""
    head = bytes(next(iter(chunks.values()), b"")[:10])
    kind = next(iter(chunks), b"")
    if kind == b"VP8X" and len(head) == 10:
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if kind == b"VP8 " and head[3:6] == b"\x9d\x01\x2a" and len(head) == 10:
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    if kind == b"VP8L" and head[:1] == b"\x2f":
        sides = int.from_bytes(head[1:5], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    raise damaged("the WebP does not begin with a picture")
