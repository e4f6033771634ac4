"""Validates TIFF files.

A TIFF is a web of offsets: directories, the values of their entries, strips or tiles of pixels, in any order. Each
range must lie within the file, which detects any truncation; one decode then detects damage within a range.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from imagen_batch.errors import InvalidImage
from imagen_batch.images.formats.decode_with_pillow import decode
from imagen_batch.images.formats.shape_limits import Shape, require_size

_WIDTH, _HEIGHT, _C2PA = 256, 257, 52545
_PIXELS = ((273, 279), (324, 325))  # offsets and lengths: of strips, of tiles
_TAGS_READ = frozenset({_WIDTH, _HEIGHT, *(tag for pair in _PIXELS for tag in pair)})
_MAX_DIRECTORIES = 16
_MAX_ENTRIES = 4096
_MAX_VALUES = 100_000  # strips or tiles
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "Q", 6: "B", 7: "B", 8: "H", 9: "I", 10: "Q", 11: "I", 12: "Q", 13: "I"}
_BIG_TYPES = {16: "Q", 17: "Q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class _Layout:
    """How one of the four variants of TIFF encodes its numbers."""

    order: str
    first: int  # position of the offset of the first directory
    offset: str
    count: str
    inline: int  # the most bytes that a value stored in its entry may have


_LAYOUTS = {
    b"II*\0": _Layout("<", 4, "I", "H", 4),
    b"MM\0*": _Layout(">", 4, "I", "H", 4),
    b"II+\0": _Layout("<", 8, "Q", "Q", 8),
    b"MM\0+": _Layout(">", 8, "Q", "Q", 8),
}


def read_tiff(data: bytes) -> Shape:
    """Follow every offset and decode the first image."""
    try:
        directories = list(_directories(data, _LAYOUTS[data[:4]]))
    except (struct.error, OverflowError) as exc:
        raise _truncated_error(data) from exc
    first = directories[0] if directories else {}
    if not (first.get(_WIDTH) and first.get(_HEIGHT)):
        raise InvalidImage("the TIFF holds no image")
    width, height = first[_WIDTH][0], first[_HEIGHT][0]
    require_size(width, height)
    decode(data, "TIFF", name="TIFF")
    return Shape(width, height, c2pa=_C2PA in first)


def _directories(data: bytes, layout: _Layout) -> Iterator[Mapping[int, tuple[int, ...]]]:
    (at,) = struct.unpack_from(layout.order + layout.offset, data, layout.first)
    for _ in range(_MAX_DIRECTORIES):
        if not at:
            return
        (count,) = struct.unpack_from(layout.order + layout.count, data, at)
        at += struct.calcsize("=" + layout.count)
        step = 4 + 2 * struct.calcsize("=" + layout.offset)
        _require_bytes(data, at, count * step)
        if count > _MAX_ENTRIES:
            raise InvalidImage(f"the TIFF has {count} entries in a directory")
        yield _directory(data, [_entry(data, at + index * step, layout) for index in range(count)], layout)
        (at,) = struct.unpack_from(layout.order + layout.offset, data, at + count * step)
    raise InvalidImage("the TIFF has no end of directories")


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a directory, and the position of its values."""

    tag: int
    code: str  # of `struct`, for whole numbers as wide as the values
    count: int
    start: int
    size: int


def _entry(data: bytes, at: int, layout: _Layout) -> _Entry:
    tag, kind, count = struct.unpack_from(f"{layout.order}HH{layout.offset}", data, at)
    code = (_TYPES | _BIG_TYPES).get(kind, "B")
    at += 4 + struct.calcsize("=" + layout.offset)
    size = count * struct.calcsize("=" + code)
    if size > layout.inline:
        (at,) = struct.unpack_from(layout.order + layout.offset, data, at)
    _require_bytes(data, at, size)
    return _Entry(tag, code, count, at, size)


def _directory(data: bytes, entries: Sequence[_Entry], layout: _Layout) -> Mapping[int, tuple[int, ...]]:
    """Return the values of the tags that are needed here, and an empty tuple for every other tag.

    Pillow copies every value. Values of a valid file do not overlap, so together they are no larger than the file.
    """
    if sum(entry.size for entry in entries) > len(data):
        raise InvalidImage("the TIFF states more values than it holds")
    values: dict[int, tuple[int, ...]] = {}
    for entry in entries:
        known = entry.tag in _TAGS_READ and entry.tag not in values and entry.count <= _MAX_VALUES
        form = f"{layout.order}{entry.count}{entry.code}"
        values[entry.tag] = struct.unpack_from(form, data, entry.start) if known else ()
    for offsets, lengths in _PIXELS:
        for start, length in zip(values.get(offsets, ()), values.get(lengths, ()), strict=False):
            _require_bytes(data, start, length)
    return values


def _require_bytes(data: bytes, start: int, length: int) -> None:
    if start + length > len(data):
        raise _truncated_error(data)


def _truncated_error(data: bytes) -> Exception:
    return InvalidImage(f"the TIFF breaks off after {len(data)} bytes")
