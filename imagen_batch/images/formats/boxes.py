"""Checks files that are made of boxes: AVIF and HEIC (ISO base media), and the frame of JPEG 2000.

Every box states its length, so a walk from box to box finds any cut but one between two boxes; that one is found
because the boxes that hold the picture must be there. An AVIF is decoded as well. Pillow has no decoder for HEIC, so
of a HEIC only the boxes are checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from PIL import features

from imagen_batch.images.formats.common import Shape, invalid_image, require_size
from imagen_batch.images.formats.png import decode

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # the box type that C2PA 2.1, A.5, gives to ISO media
_PICTURE_BOXES = frozenset({"meta", "mdat", "moov", "moof", "jp2c"})
_BOXES_MAX = 10_000
_SIDES = struct.Struct(">4xII")  # of an `ispe` property: version and flags, width, height


@dataclass(frozen=True, slots=True)
class Box:
    """Where the content of a box lies in its file."""

    kind: str
    start: int
    end: int


def read_avif(data: bytes) -> Shape:
    """Walk the boxes and decode once, where Pillow was built with a decoder."""
    shape = read_heic(data, name="AVIF")
    if features.check("avif"):
        width, height = decode(data, "AVIF", name="AVIF")
        return Shape(width, height, shape.c2pa)
    return shape


def read_heic(data: bytes, *, name: str = "HEIC") -> Shape:
    """Walk the boxes. The sides are those of the largest picture inside: tiles and previews are smaller."""
    meta = find_boxes(data, needed=("meta", "mdat"), name=name)["meta"]
    sides = list(islice(_sides(data[meta.start : meta.end]), _BOXES_MAX))
    if not sides:
        raise invalid_image(f"the {name} does not say how large it is")
    for width, height in sides:
        require_size(width, height)
    width, height = max(sides, key=lambda pair: pair[0] * pair[1])
    return Shape(width, height, c2pa=_C2PA in data)


def find_boxes(data: bytes, *, needed: Sequence[str], name: str) -> dict[str, Box]:
    """The outermost boxes by kind, the last of each. Bytes after the needed ones that are no box are tolerated."""
    found: dict[str, Box] = {}
    for box in islice(_boxes(data), _BOXES_MAX):
        if box.end < box.start:
            break
        if box.end > len(data):
            if box.kind in _PICTURE_BOXES or not found.keys() >= set(needed):
                raise invalid_image(f"the {name} breaks off after {len(data)} bytes")
            break
        found[box.kind] = box
    if missing := [kind for kind in needed if kind not in found]:
        raise invalid_image(f"the {name} breaks off or is damaged: it has no {' and no '.join(missing)}")
    return found


def _boxes(data: bytes) -> Iterator[Box]:
    """Box after box. The last one may reach beyond the end; one that ends before it starts is no box."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= len(data):
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        elif size == 0:  # the last box, up to the end
            size = len(data) - at
        if not (kind.isalnum() or kind.strip().isalnum()):
            yield Box("", at + head, at)
            return
        yield Box(kind.decode("ascii", "replace"), at + head, at + size)
        at += max(size, head)


def _sides(meta: bytes) -> Iterator[tuple[int, int]]:
    at = meta.find(b"ispe")
    while 0 <= at <= len(meta) - 4 - _SIDES.size:
        yield _SIDES.unpack_from(meta, at + 4)
        at = meta.find(b"ispe", at + 4)
