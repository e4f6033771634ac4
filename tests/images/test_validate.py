"""Only whole images pass validation."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tests.support.images as damaged
from imagen_batch.errors import InvalidImage
from imagen_batch.images.validate import validate

SOUND = damaged.sound()


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def refused(data: bytes) -> bool:
    try:
        validate(data)
    except InvalidImage as exc:
        return exc.kind in {"damaged_picture", "not_a_picture"}
    return False


def no_links(_part: Path, _target: Path) -> None:
    raise PermissionError("this file system has no hard links")


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_image_passes_with_its_facts(name: str) -> None:
    """Its size, length and digest agree with Pillow and with the bytes."""
    data = SOUND[name]
    facts = validate(data)
    with Image.open(io.BytesIO(data)) as image:
        assert (facts.width, facts.height) == image.size
        assert facts.mime_type == Image.MIME[image.format or ""]
    assert facts.extension == {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}[name.split(maxsplit=1)[0]]
    assert (facts.bytes, facts.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_every_damaged_file_is_refused() -> None:
    """No damaged file is taken for an image, and the error names the kind of damage."""
    passed = [name for name, data in damaged.damaged().items() if not refused(data)]
    assert not passed


@settings(deadline=None)
@given(st.sampled_from(sorted(SOUND)), st.floats(0, 1, exclude_max=True))
def test_an_image_cut_anywhere_is_refused(name: str, part: float) -> None:
    """No prefix of a sound file is a sound file."""
    data = SOUND[name]
    with pytest.raises(InvalidImage):
        validate(data[: int(len(data) * part)])


@settings(deadline=None)
@given(st.sampled_from(sorted(name for name in SOUND if name.startswith("png"))), st.randoms())
def test_a_png_with_any_byte_changed_is_refused(name: str, dice: object) -> None:
    """Its checksums cover every byte."""
    data = bytearray(SOUND[name])
    data[dice.randrange(len(data))] ^= dice.randrange(1, 256)  # type: ignore[attr-defined]
    with pytest.raises(InvalidImage):
        validate(bytes(data))


@settings(deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x40\0\0\0WEBP"]),
)
def test_noise_is_refused_without_another_error(noise: bytes, signature: bytes) -> None:
    """The only error is the one that the run handles."""
    with pytest.raises(InvalidImage):
        validate(signature + noise)


@pytest.mark.parametrize("name", SOUND)
def test_bytes_after_the_end_are_tolerated(name: str) -> None:
    """The image is whole and paid for; bytes after its end do no harm."""
    assert validate(SOUND[name] + b"tail" * 9).width == validate(SOUND[name]).width


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF\x40\0\0\0WAVE" + bytes(30), b"\0\0\0\x20ftypmp42" + bytes(30), b"%PDF-1.7", b"<html>"],
)
def test_other_files_are_not_called_damaged(data: bytes) -> None:
    """Formats that the run does not store, and pages of a proxy, are no damage."""
    with pytest.raises(InvalidImage, match="not a PNG, JPEG or WebP") as caught:
        validate(data)
    assert caught.value.kind == "not_a_picture"


def test_provenance_is_found_by_structure() -> None:
    """The box counts only in the place that C2PA defines; the same letters elsewhere have no meaning."""
    words = b"caBX jumb jumd c2pa C2PA"
    lookalikes = [
        damaged.with_chunk(SOUND["png rgb"], b"tEXt", b"Comment\0" + words),
        damaged.with_segment(SOUND["jpeg baseline"], 0xFE, words),
        damaged.with_segment(SOUND["jpeg baseline"], 0xEB, words),
        damaged.with_segment(SOUND["jpeg baseline"], 0xEB, b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdjson"),
        damaged.with_webp_chunk(SOUND["webp transparent"], b"XMP ", words),
    ]
    assert all(validate(data).c2pa for data in damaged.signed().values())
    assert not any(validate(data).c2pa for data in lookalikes)


def test_broken_metadata_loses_no_image() -> None:
    """Pillow would warn about such EXIF data (warnings are errors here); only the pixels count."""
    exif = damaged.with_segment(SOUND["jpeg baseline"], 0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f")
    assert validate(exif).width == 168
