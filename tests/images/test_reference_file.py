"""Reading a reference image accepts only whole images in regular files."""

import os
import socket
import struct

import pytest

from imagen_batch.errors import ReferenceUnusable
from imagen_batch.images.reference_file import examine, read_file
from tests.support.reference_files import image_bytes, write_image

MAX_BYTES = 10_000_000


def heif(brand: bytes) -> bytes:
    """Return a file of boxes that declares the size of its image."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    ispe = box(b"ispe", struct.pack(">III", 0, 64, 48))
    return box(b"ftyp", brand + b"\0\0\0\0" + brand) + box(b"meta", b"\0\0\0\0" + ispe) + box(b"mdat", b"pixels")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["folder", "pipe", "socket", "zero", "random", "sparse", "empty", "gone", "loop"])
def test_only_a_regular_file_of_a_sensible_size_is_read(tmp_path, name):
    """Others are refused at once, even if reading would block, never end or fill the memory."""
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name == "pipe":
        os.mkfifo(path)
    elif name == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(path))
    elif name in {"zero", "random"}:
        path.symlink_to(f"/dev/{name.replace('random', 'urandom')}")
    elif name == "sparse":
        with path.open("wb") as file:
            file.truncate(5 * 2**30)
    elif name == "empty":
        path.touch()
    elif name == "loop":
        path.symlink_to(path)
    with pytest.raises(ReferenceUnusable):
        read_file(str(path), max_bytes=MAX_BYTES)


def test_a_nul_in_a_path_is_a_problem_and_no_crash():
    """Any error of the system would be."""
    with pytest.raises(ReferenceUnusable):
        read_file("a\0b", max_bytes=MAX_BYTES)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_content_decides_the_type(tmp_path, kind):
    """The name does not."""
    path = tmp_path / "fox.txt"
    data = write_image(path, kind=kind)
    facts = examine(read_file(str(path), max_bytes=MAX_BYTES))
    assert (facts.mime_type, facts.bytes) == (f"image/{kind.lower()}", len(data))


def test_heic_and_heif_are_accepted():
    """Phones write them."""
    assert examine(heif(b"heic")).mime_type == "image/heic"
    assert examine(heif(b"mif1")).mime_type == "image/heif"


@pytest.mark.parametrize("data", [image_bytes(kind="GIF"), image_bytes(kind="BMP"), image_bytes()[:-20], b"%PDF-1.7"])
def test_other_types_and_damaged_images_are_refused(data):
    """The service would refuse each request with one."""
    with pytest.raises(ReferenceUnusable):
        examine(data)


def test_the_message_for_a_missing_file_suggests_the_nearest_name(tmp_path):
    """Another type or another case is the usual mistake."""
    write_image(tmp_path / "fox.jpg", kind="JPEG")
    with pytest.raises(ReferenceUnusable, match=r"did you mean fox\.jpg"):
        read_file(str(tmp_path / "Fox.png"), max_bytes=MAX_BYTES)
