"""Image files that validation must accept or reject, the same ones each time."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from functools import cache

from PIL import Image

SIZE = (168, 120)


@cache
def sound() -> dict[str, bytes]:
    """Return whole images in every form that a service may send, by name; the first word is the format."""
    art, flat = _art(), Image.new("RGB", SIZE, "white")
    plain = {
        "png rgb": _encoded(art, "PNG"),
        "png gray": _encoded(art.convert("L"), "PNG"),
        "png palette": _encoded(art.quantize(64), "PNG"),
        "png flat": _encoded(flat, "PNG"),
        "png one pixel": _encoded(flat.crop((0, 0, 1, 1)), "PNG"),
        "jpeg baseline": _encoded(art, "JPEG", quality=90),
        "jpeg full color": _encoded(art, "JPEG", quality=95, subsampling=0),
        "jpeg own tables": _encoded(art, "JPEG", quality=90, optimize=True),
        "jpeg gray": _encoded(art.convert("L"), "JPEG", quality=90),
        "jpeg four inks": _encoded(art.convert("CMYK"), "JPEG", quality=90),
        "jpeg restarts": _encoded(art, "JPEG", quality=90, restart_marker_blocks=4),
        "jpeg progressive": _encoded(art, "JPEG", quality=90, progressive=True),
        "jpeg flat": _encoded(flat.resize((2048, 2048)), "JPEG", optimize=True),
        "jpeg one pixel": _encoded(flat.crop((0, 0, 1, 1)), "JPEG"),
        "webp lossy": _encoded(art, "WEBP", quality=80),
        "webp lossless": _encoded(art, "WEBP", lossless=True),
        "webp transparent": _encoded(art.convert("RGBA").rotate(9), "WEBP"),
        "webp one pixel": _encoded(flat.crop((0, 0, 1, 1)), "WEBP"),
    }
    return plain | signed()


@cache
def signed() -> dict[str, bytes]:
    """Return images that carry a C2PA box, like those of the services."""
    art = _art()
    return {
        "png signed": with_chunk(_encoded(art, "PNG"), b"caBX", jumbf()),
        "jpeg signed": with_segment(_encoded(art, "JPEG"), 0xEB, b"JP\0\1\0\0\0\1" + jumbf()),
        "webp signed": with_webp_chunk(_encoded(art.convert("RGBA").rotate(9), "WEBP"), b"C2PA", jumbf()),
    }


@cache
def damaged() -> dict[str, bytes]:
    """Yield every sound file with every kind of damage that its format reveals; the name says which."""
    dice = random.Random(20261122)
    broken: dict[str, bytes] = {}
    for name, data in sound().items():
        kind = name.split()[0]
        ways = (
            _any_way(data, dice),
            {"png": _png_ways, "jpeg": _jpeg_ways, "webp": _webp_ways}[kind](name, data, dice),
        )
        broken |= {f"{name}: {way}": result for found in ways for way, result in found}
    return broken


def with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """Return the PNG with one more chunk after its header."""
    return png[:33] + chunk(kind, body) + png[33:]


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk with the right length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """Return the JPEG with one more segment at its beginning."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def with_webp_chunk(webp: bytes, kind: bytes, body: bytes) -> bytes:
    """Return the WebP with one more chunk at its end."""
    return _riff(webp[8:] + kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2))


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    """Return the baseline JPEG with another size in its header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]


def jumbf() -> bytes:
    """Return the beginning of a C2PA manifest store: a superbox, its description, a label."""
    description = bytes.fromhex("63327061001100108000 00aa00389b71") + b"\x03c2pa\0"
    box = struct.pack(">I", 8 + len(description)) + b"jumd" + description
    return struct.pack(">I", 8 + len(box)) + b"jumb" + box


def _any_way(data: bytes, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    places = {0, 1, 7, 12, 20, len(data) // 4, len(data) // 2, len(data) - 2, len(data) - 1}
    for at in sorted(places | {dice.randrange(len(data)) for _ in range(12)}):
        yield f"cut at {at}", data[:at]
    yield "its first 20 bytes lost", data[20:]
    yield "its first 4 bytes zeroed", bytes(4) + data[4:]
    yield "only its second half came", data[len(data) // 2 :]


def _png_ways(_name: str, data: bytes, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "zeros from the middle on", data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    for at in (dice.randrange(8, len(data)) for _ in range(12)):
        yield f"a bit turned at {at}", _turned(data, at, dice)
        yield f"a byte lost at {at}", data[:at] + data[at + 1 :]
        yield f"a byte too many at {at}", data[:at] + b"\xa5" + data[at:]
    if len(data) > 2000:
        yield "a zeroed block", _zeroed(data, dice.randrange(60, len(data) - 600), 512)
    header, tail = data[16:29], data[33:]
    for width, height in ((0, 9), (9, 0), (20_001, 9), (20_000, 20_000)):
        resized = struct.pack(">II", width, height) + header[8:]
        yield f"{width} x {height}", data[:8] + chunk(b"IHDR", resized) + tail
    yield "no pixels", data[:33] + chunk(b"IEND", b"")
    yield "empty pixels", data[:33] + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    yield "no header", data[:8] + tail
    yield "a header too short", data[:8] + chunk(b"IHDR", header[:8]) + tail


def _jpeg_ways(name: str, data: bytes, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "zeros from the middle on", data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    start = data.index(b"\xff\xda")
    yield "no end marker", data[:-2]
    yield "no pixels", data[:start] + b"\xff\xd9"
    yield "no frame", data[: data.index(b"\xff\xdb")] + data[start:]
    yield "fill bytes in the scan", data[: start + 14] + b"\xff" * 40 + data[start + 54 :]
    if name in {"jpeg progressive", "jpeg flat", "jpeg one pixel"}:
        return  # several scans, or too little in one, for what follows to show
    for at in (dice.randrange(start + 14, len(data) - 40) for _ in range(6)):
        yield f"ended at {at} by an end marker", data[:at] + b"\xff\xd9"
        yield f"an end marker in its middle, at {at}", data[:at] + b"\xff\xd9" + data[at + 2 :]
    for at in (dice.randrange(start + 14, len(data) - 2100) for _ in range(6)):
        yield f"2,000 bytes zeroed at {at}", _zeroed(data, at, 2000)
        yield f"2,000 bytes lost at {at}", data[:at] + data[at + 2000 :]
    if name == "jpeg restarts":
        first, second = data.index(b"\xff\xd3", start), data.index(b"\xff\xd4", start)
        yield "what stood between two restart markers lost", data[:first] + data[second:]
        yield "a restart marker lost", data[:first] + data[first + 2 :]
    if b"\xff\xc0" in data:
        for width, height in ((0, 9), (9, 0), (20_001, 9), (20_000, 20_000), (168, 104), (168, 136)):
            yield f"{width} x {height}", with_size(data, width, height)


def _webp_ways(name: str, data: bytes, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "no picture", _riff(b"WEBP")
    yield "its first chunk's name zeroed", _zeroed(data, 12, 4)
    yield "its first chunk's length zeroed", _zeroed(data, 16, 4)
    yield "its first chunk's length too great", data[:16] + struct.pack("<I", len(data)) + data[20:]
    yield "cut, and the file's length corrected", _riff(data[8 : len(data) // 2])
    if name in {"webp lossy", "webp lossless"}:
        half = data[20 : 20 + len(data) // 4 * 2]
        yield "cut, and all lengths corrected", _riff(data[8:16] + struct.pack("<I", len(half)) + half)
        yield "its picture's header zeroed", _zeroed(data, 20, 10)
        yield "0 x 0", _zeroed(data, 26, 4) if name == "webp lossy" else data[:30]


def _art() -> Image.Image:
    """Draw soft shapes with grain, so that every encoder has details to encode everywhere."""
    dice = random.Random(1)
    width, height = SIZE
    shapes = Image.frombytes("RGB", (width // 8, height // 8), dice.randbytes(width // 8 * (height // 8) * 3))
    grain = Image.frombytes("RGB", SIZE, dice.randbytes(width * height * 3))
    return Image.blend(shapes.resize(SIZE, Image.Resampling.BICUBIC), grain, 0.2)


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _zeroed(data: bytes, at: int, size: int) -> bytes:
    return data[:at] + bytes(size) + data[at + size :]


def _turned(data: bytes, at: int, dice: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
