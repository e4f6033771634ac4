"""GIF, BMP, TIFF, AVIF, HEIC and JPEG 2000: whole files pass, truncated ones do not, and memory is limited."""

from __future__ import annotations

import contextlib
import io
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagen_batch.errors import InvalidImage
from imagen_batch.images.validate import EXTENSION_OF, EXTENSIONS, contradicts, is_rare, validate
from tests.support.rare_images import HEIC, SOUND, box, encoded

MIME = {
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "avif": "image/avif",
    "jp2": "image/jp2",
    "j2c": "image/j2c",
    "heic": "image/heic",
}


@pytest.mark.parametrize("name", SOUND)
def test_a_whole_image_of_a_rare_format_passes(name: str) -> None:
    """Type and size are those of its bytes."""
    facts = validate(SOUND[name])
    assert facts.mime_type == MIME[name.split(maxsplit=1)[0]]
    assert facts.extension == EXTENSION_OF[facts.mime_type]
    assert facts.extension in EXTENSIONS
    assert is_rare(facts)
    if not name.startswith("heic"):
        with Image.open(io.BytesIO(SOUND[name])) as image:
            assert (facts.width, facts.height) == image.size
    assert validate(SOUND[name] + b"tail" * 9).width == facts.width


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(sorted(SOUND)), st.floats(0, 1, exclude_max=True))
def test_a_rare_image_cut_anywhere_is_refused(name: str, part: float) -> None:
    """No prefix of a whole file is a whole file."""
    data = SOUND[name]
    with pytest.raises(InvalidImage):
        validate(data[: int(len(data) * part)])


@pytest.mark.parametrize("name", SOUND)
def test_a_rare_image_without_its_last_byte_is_refused(name: str) -> None:
    """Even the smallest cut is found."""
    with pytest.raises(InvalidImage) as caught:
        validate(SOUND[name][:-1])
    assert caught.value.kind == "damaged_picture"


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(SOUND)), st.randoms(), st.integers(1, 4))
def test_changed_bytes_pass_or_are_refused_without_another_error(name: str, dice: object, changes: int) -> None:
    """The parsers may raise anything; validation raises one exception only."""
    data = bytearray(SOUND[name])
    for _ in range(changes):
        place = dice.randrange(min(len(data), 400))  # type: ignore[attr-defined]
        data[place] = dice.randrange(256)  # type: ignore[attr-defined]
    with contextlib.suppress(InvalidImage):
        validate(bytes(data))


BOMBS = {
    "gif canvas": b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + bytes(30),
    "gif frame": SOUND["gif plain"].replace(
        b"\x2c\0\0\0\0" + struct.pack("<HH", 96, 64), b"\x2c\0\0\0\0" + struct.pack("<HH", 65_535, 65_535)
    ),
    "bmp": SOUND["bmp plain"][:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + SOUND["bmp plain"][26:],
    "jp2": SOUND["jp2 plain"].replace(b"\xff\x51" + SOUND["jp2 plain"].partition(b"\xff\x51")[2][:12],
        b"\xff\x51" + SOUND["jp2 plain"].partition(b"\xff\x51")[2][:4] + struct.pack(">II", 2**32 - 1, 2**32 - 1)),
    "heic": HEIC.replace(struct.pack(">II", 96, 64), struct.pack(">II", 2**32 - 1, 2**32 - 1)),
    "avif": SOUND["avif plain"].replace(struct.pack(">II", 96, 64), struct.pack(">II", 40_000, 40_000)),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_an_image_of_absurd_size_is_refused_before_it_is_decoded(name: str) -> None:
    """No memory is allocated, and the decoder gives no warning (warnings are errors here)."""
    assert BOMBS[name] not in SOUND.values()
    with pytest.raises(InvalidImage, match="claims to be") as caught:
        validate(BOMBS[name])
    assert caught.value.kind == "damaged_picture"


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_large_tiff_is_refused_by_its_header(order: str) -> None:
    """Its size is in its first directory."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entries = [(256, 4, 1, 50_000), (257, 4, 1, 50_000)]
    body = b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    data = mark + struct.pack(f"{order}IH", 8, len(entries)) + body + bytes(4)
    with pytest.raises(InvalidImage, match="claims to be"):
        validate(data)


def test_a_tiff_with_a_cycle_of_directories_is_refused() -> None:
    """Their list never ends."""
    data = b"II*\0" + struct.pack("<IH", 8, 0) + struct.pack("<I", 8)
    with pytest.raises(InvalidImage, match="no end"):
        validate(data)


def test_a_tiff_that_repeats_its_values_needs_no_more_memory() -> None:
    """A decoder would copy them each time."""
    body = b"".join(struct.pack("<HHII", tag, 7, 1_000_000, 0) for tag in range(1000, 2000))
    data = b"II*\0" + struct.pack("<IH", 8, 1000) + body + bytes(1_000_000)
    with pytest.raises(InvalidImage, match="more values"):
        validate(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x18ftypavif" + bytes(12) + box(b"free", b"") * 1_000_000,
        b"\0\0\0\x18ftypheic" + bytes(12) + box(b"meta", b"ispe" * 1_000_000) + box(b"mdat", b"x"),
        b"GIF89a" + struct.pack("<HH", 9, 9) + bytes(3) + b"\x21\xfe\0" * 1_000_000,
        b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**60) + bytes(1_000_000),
        b"II+\0" + struct.pack("<HHQ", 8, 0, 2**64 - 1),
        SOUND["jp2 plain"][:12] + box(b"free", b"") * 1_000_000,
        b"\xff\x4f\xff\x51\0\x2f" + bytes(2) + struct.pack(">II", 9, 9) + bytes(26) + b"\xff\x64\0\2" * 1_000_000,
    ],
    ids=["avif", "heic", "gif", "tiff", "tiff beyond", "jp2", "j2c"],
)
def test_time_is_linear_in_the_length_of_a_file(data: bytes) -> None:
    """Megabytes of parts without content take a moment."""
    began = time.process_time()
    with pytest.raises(InvalidImage):
        validate(data)
    assert time.process_time() - began < 5


def test_a_tiff_with_truncated_metadata_is_refused() -> None:
    """Its pixels are whole, but what follows them was paid for, too."""
    data = encoded("TIFF", tiffinfo={270: "a long description " * 40})
    with pytest.raises(InvalidImage, match="breaks off"):
        validate(data[:-10])


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\0\0\1\0\1\0" + bytes(40),  # ICO
        b"\xff\x0a" + bytes(40),  # JPEG XL
        box(b"ftyp", b"isom\0\0\0\0isommp42") + box(b"mdat", bytes(40)),  # a film
        b"BMW is a car, and this is a text about it",
        b"II is a number in Rome",
    ],
)
def test_other_types_are_refused(data: bytes) -> None:
    """They are stored separately, not among the images."""
    with pytest.raises(InvalidImage) as caught:
        validate(data)
    assert caught.value.kind == "not_a_picture"


@pytest.mark.parametrize(
    ("stated", "lie"),
    [
        ("image/gif", False),
        ("IMAGE/GIF; charset=binary", False),
        ("", False),
        (None, False),
        ("application/octet-stream", False),
        ("image/png", True),
        ("text/plain", True),
    ],
)
def test_only_another_type_contradicts_a_type(stated: str | None, lie: bool) -> None:
    """Letter case, parameters and a missing type do not."""
    assert contradicts(stated, validate(SOUND["gif plain"])) is lie
