"""Validates files that consist of boxes: AVIF and HEIC (ISO base media), and the container of JPEG 2000.

Every box states its length, so a walk from box to box detects any truncation except one between two boxes; that one
is detected because the boxes that hold the image are required. An AVIF is decoded as well. Pillow has no decoder for
HEIC, so only the boxes of a HEIC are checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from imagen_batch.errors import InvalidImage
from imagen_batch.images.formats.decode_with_pillow import decode
from imagen_batch.images.formats.shape_limits import Shape, require_size

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # the box type that C2PA 2.1, A.5, defines for ISO media
_IMAGE_BOXES = frozenset({"meta", "mdat", "moov", "moof", "jp2c"})
_MAX_BOXES = 10_000
_SIDES = struct.Struct(">4xII")  # of an `ispe` property: version and flags, width, height


@dataclass(frozen=True, slots=True)
class Box:
    """The position of a box's content in its file."""

    kind: str
    start: int
    end: int


def read_avif(data: bytes) -> Shape:
    """Walk the boxes, then decode the image if Pillow was built with an AVIF decoder."""
    from PIL import features  # noqa: PLC0415 - not needed before the first image

    shape = read_heic(data, name="AVIF")
    if features.check("avif"):
        width, height = decode(data, "AVIF", name="AVIF")
        return Shape(width, height, shape.c2pa)
    return shape


def read_heic(data: bytes, *, name: str = "HEIC") -> Shape:
    """Walk the boxes. The sides are those of the largest image inside: tiles and previews are smaller."""
    meta = find_boxes(data, required=("meta", "mdat"), name=name)["meta"]
    sides = list(islice(_sides(data[meta.start : meta.end]), _MAX_BOXES))
    if not sides:
        raise InvalidImage(f"the {name} does not say how large it is")
    for width, height in sides:
        require_size(width, height)
    width, height = max(sides, key=lambda pair: pair[0] * pair[1])
    return Shape(width, height, c2pa=_C2PA in data)


def find_boxes(data: bytes, *, required: Sequence[str], name: str) -> dict[str, Box]:
    """Return the outermost boxes by kind, the last of each. Bytes after the required boxes need not be a box."""
    boxes: dict[str, Box] = {}
    for box in islice(_boxes(data), _MAX_BOXES):
        if box.end < box.start:
            break
        if box.end > len(data):
            if box.kind in _IMAGE_BOXES or not boxes.keys() >= set(required):
                raise InvalidImage(f"the {name} breaks off after {len(data)} bytes")
            break
        boxes[box.kind] = box
    if missing := [kind for kind in required if kind not in boxes]:
        raise InvalidImage(f"the {name} breaks off or is damaged: it has no {' and no '.join(missing)}")
    return boxes


def _boxes(data: bytes) -> Iterator[Box]:
    """Yield each box. The last one may reach beyond the end; one that ends before it starts is not a box."""
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
