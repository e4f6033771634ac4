"""JPEG files with several scans are sound, however short a scan is."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from imagen_batch.errors import ImagenBatchError
from imagen_batch.images.validate import validate

SIZE = (64, 48)


def _encoded(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def _planes(*, flat: bool) -> list[Image.Image]:
    """Return three planes of one color each, or with a gradient."""
    if flat:
        return [Image.new("L", SIZE, level) for level in (180, 90, 140)]
    return [Image.linear_gradient("L").resize(SIZE).rotate(90 * turn, expand=False) for turn in range(3)]


def _segments(jpeg: bytes) -> tuple[dict[int, list[bytes]], bytes]:
    """Return the segments of a JPEG of one scan by marker, and the data of its scan."""
    segments: dict[int, list[bytes]] = {}
    at = 2
    while True:
        marker, (length,) = jpeg[at + 1], struct.unpack_from(">H", jpeg, at + 2)
        segments.setdefault(marker, []).append(jpeg[at : at + 2 + length])
        at += 2 + length
        if marker == 0xDA:
            return segments, jpeg[at:-2]


def _three_scans(*, flat: bool) -> bytes:
    """Return a baseline JPEG with one scan for each color component, from three gray ones with the same tables."""
    planes = [_segments(_encoded(plane, quality=90)) for plane in _planes(flat=flat)]
    segments, _ = planes[0]
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, SIZE[1], SIZE[0], 3)
    frame += b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    scans = [
        b"\xff\xda" + struct.pack(">HBBBBBB", 8, 1, number, 0, 0, 63, 0) + data
        for number, (_, data) in enumerate(planes, 1)
    ]
    return b"".join([b"\xff\xd8", *segments[0xDB], frame, *segments[0xC4], *scans, b"\xff\xd9"])


FILES = {
    "flat progressive": _encoded(Image.new("RGB", SIZE, "white"), progressive=True),
    "large flat progressive": _encoded(Image.new("RGB", (2048, 2048), "teal"), progressive=True, optimize=True),
    "gray flat progressive": _encoded(Image.new("L", SIZE, 128), progressive=True),
    "baseline in three scans": _three_scans(flat=False),
    "flat baseline in three scans": _three_scans(flat=True),
}


@pytest.mark.parametrize("name", FILES)
def test_a_jpeg_of_several_scans_is_sound(name: str) -> None:
    """Another decoder agrees about its size."""
    with Image.open(io.BytesIO(FILES[name])) as image:
        image.load()
        size = image.size
    info = validate(FILES[name])
    assert (info.mime_type, (info.width, info.height)) == ("image/jpeg", size)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("missing", [1, 2, 20])
def test_a_truncated_jpeg_of_several_scans_is_damaged(name: str, missing: int) -> None:
    """Without its end marker it is incomplete."""
    with pytest.raises(ImagenBatchError):
        validate(FILES[name][:-missing])
