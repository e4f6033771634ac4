"""Validates GIF, BMP and JPEG 2000 files.

The services do not produce these today, but a gateway may. Each walk follows the lengths that the file states up to
its end marker, which detects any truncation; one decode by Pillow then detects other damage.

    GIF        blocks up to the trailer, the sides of every frame
    BMP        the stated size of the file and the bytes that its rows need
    JPEG 2000  marker segments and tile parts up to the end of the codestream
"""

from __future__ import annotations

import struct

from imagen_batch.errors import InvalidImage
from imagen_batch.images.formats.avif_heic_boxes import find_boxes
from imagen_batch.images.formats.decode_with_pillow import decode
from imagen_batch.images.formats.shape_limits import Shape, require_size

_GIF_TRAILER, _GIF_EXTENSION, _GIF_FRAME = 0x3B, 0x21, 0x2C
_GIF_C2PA = b"\x21\xff\x0bC2PA_GIF"

_BMP_CORE_HEADER = 12  # bytes; later headers are longer and hold sides of four bytes
_BMP_PLAIN = (0, 3, 6)  # compressions whose rows have a fixed length

_SIZ, _SOT, _EOC = b"\xff\x51", b"\xff\x90", b"\xff\xd9"
_MAX_COMPONENTS = 5  # colors and transparency; a decoder allocates memory for each


def read_gif(data: bytes) -> Shape:
    """Walk all blocks to the trailer and decode the first frame."""
    try:
        width, height, flags = struct.unpack_from("<HHB", data, 6)
        require_size(width, height)
        frames = _walk_gif(data, 13 + _color_table(flags))
    except (struct.error, IndexError) as exc:
        raise InvalidImage(f"the GIF breaks off after {len(data)} bytes") from exc
    if not frames:
        raise InvalidImage("the GIF holds no pixels")
    decode(data, "GIF", name="GIF")
    return Shape(width, height, c2pa=_GIF_C2PA in data)


def _walk_gif(data: bytes, at: int) -> int:
    """Count the frames up to the trailer. Raises IndexError where the file ends before it."""
    frames = 0
    while (kind := data[at]) != _GIF_TRAILER:
        if kind == _GIF_EXTENSION:
            at += 2
        elif kind == _GIF_FRAME:
            width, height, flags = struct.unpack_from("<HHB", data, at + 5)
            require_size(width, height)
            at += 10 + _color_table(flags) + 1
            frames += 1
        else:
            raise InvalidImage(f"the GIF is damaged at byte {at}")
        while size := data[at]:
            at += 1 + size
        at += 1
    return frames


def _color_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def read_bmp(data: bytes) -> Shape:
    """Check that no row is missing, then decode."""
    try:
        stated, pixels_at, header = struct.unpack_from("<I4xII", data, 2)
        width, height, bits, compression = _bmp_header(data, header)
    except struct.error as exc:
        raise InvalidImage(f"the BMP breaks off after {len(data)} bytes") from exc
    require_size(width, height)
    rows = (width * bits + 31) // 32 * 4 * height if compression in _BMP_PLAIN else 1
    if max(stated, pixels_at + rows) > len(data):
        raise InvalidImage(f"the BMP breaks off after {len(data)} of {max(stated, pixels_at + rows)} bytes")
    decode(data, "BMP", name="BMP")
    return Shape(width, height, c2pa=False)


def _bmp_header(data: bytes, size: int) -> tuple[int, int, int, int]:
    """Return width, height, bits per pixel and compression. A negative height means that the top row comes first."""
    if size == _BMP_CORE_HEADER:
        width, height, bits = struct.unpack_from("<HH2xH", data, 18)
        return width, height, bits, 0
    width, height, bits, compression = struct.unpack_from("<ii2xHI", data, 18)
    return width, abs(height), bits, compression


def read_codestream(data: bytes) -> Shape:
    """Validate a JPEG 2000 codestream that has no container."""
    width, height = _walk_codestream(data, 0)
    decode(data, "JPEG2000", name="JPEG 2000 image")
    return Shape(width, height, c2pa=False)


def read_jp2(data: bytes) -> Shape:
    """Walk the boxes, then the codestream, and decode."""
    codestream = find_boxes(data, required=("jp2c",), name="JPEG 2000 image")["jp2c"]
    width, height = _walk_codestream(data[: codestream.end], codestream.start)
    decode(data, "JPEG2000", name="JPEG 2000 image")
    return Shape(width, height, c2pa=False)


def _walk_codestream(data: bytes, at: int) -> tuple[int, int]:
    """Return width and height. Every tile part states its length, and an end marker follows the last one."""
    try:
        right, bottom, left, top, components = struct.unpack_from(">IIII16xH", data, at + 8)
        if data[at + 2 : at + 4] != _SIZ or components > _MAX_COMPONENTS:
            raise InvalidImage("the JPEG 2000 image has no header that can be read")
        require_size(right - left, bottom - top)
        at += 2
        while (marker := data[at : at + 2]) != _EOC:
            length_at, length = (at + 6, ">I") if marker == _SOT else (at + 2, ">H")
            (step,) = struct.unpack_from(length, data, length_at)
            if marker == _SOT and step == 0:  # the last tile part, up to the end
                at = max(at + 12, len(data) - 2)
            elif marker[0] == 0xFF and step >= 2:
                at += step if marker == _SOT else 2 + step
            else:
                raise InvalidImage(f"the JPEG 2000 image is damaged at byte {at}")
    except (struct.error, IndexError) as exc:
        raise InvalidImage(f"the JPEG 2000 image breaks off after {len(data)} bytes") from exc
    return right - left, bottom - top
