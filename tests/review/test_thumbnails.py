"""Tests that each thumbnail is made once, and that no image can stop the gallery."""

import hashlib
import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from imagen_batch.review import EarlierVersion, GalleryItem, with_thumbnails
from imagen_batch.review.thumbnails import MAX_PIXELS, SIDE, make_thumbnail
from tests.review.run_folders import image_bytes


def item(file: str | None, **fields) -> GalleryItem:
    return GalleryItem(row=1, sample=1, status="ok", prompt="p", key="", file=file, **fields)


def write_file(folder: Path, name: str, data: bytes) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return name


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_thumbnail_is_a_small_webp_named_by_the_images_hash(tmp_path, kind):
    data = image_bytes(1, size=(1600, 900), kind=kind)
    file = write_file(tmp_path, f"images/a.{kind.lower()}", data)
    (result,) = with_thumbnails([item(file)], tmp_path)
    digest = hashlib.sha256(data).hexdigest()
    assert result.thumbnail == f".imagen-batch/thumbs/{digest[:2]}/{digest[:24]}.webp"
    with Image.open(tmp_path / result.thumbnail) as small:
        assert (small.format, small.size) == ("WEBP", (SIDE, SIDE * 9 // 16))


def test_a_thumbnail_is_reused_as_long_as_the_image_is_the_same(tmp_path):
    file = write_file(tmp_path, "a.png", image_bytes(1))
    first = make_thumbnail(tmp_path, file)
    stamp = (tmp_path / first).stat().st_mtime_ns
    assert make_thumbnail(tmp_path, file) == first
    assert (tmp_path / first).stat().st_mtime_ns == stamp
    write_file(tmp_path, "a.png", image_bytes(2))
    assert make_thumbnail(tmp_path, file) != first


def test_an_empty_thumbnail_that_a_crash_left_is_made_again(tmp_path):
    file = write_file(tmp_path, "a.png", image_bytes(1))
    name = make_thumbnail(tmp_path, file)
    (tmp_path / name).write_bytes(b"")
    assert make_thumbnail(tmp_path, file) == name
    assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_every_mode_of_an_image_is_supported(tmp_path, mode):
    image = (
        Image.new("I;16", (40, 30), 40000) if mode == "I;16" else Image.new("RGB", (40, 30), "white").convert(mode)
    )
    target = io.BytesIO()
    image.save(target, "JPEG" if mode == "CMYK" else "PNG")
    name = make_thumbnail(tmp_path, write_file(tmp_path, "a.png", target.getvalue()))
    with Image.open(tmp_path / name) as small:
        assert small.size == (40, 30)
        if mode == "I;16":
            assert abs(small.convert("L").getpixel((5, 5)) - 40000 // 256) < 6


def test_a_thumbnail_follows_the_orientation_of_a_photograph(tmp_path):
    target = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (80, 40)).save(target, "JPEG", exif=exif)
    name = make_thumbnail(tmp_path, write_file(tmp_path, "a.jpg", target.getvalue()))
    with Image.open(tmp_path / name) as small:
        assert small.size == (40, 80)


def bomb(width: int, height: int, *, whole: bool) -> bytes:
    """Return a small PNG of very many black pixels; without the pixels unless it is `whole`."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes((1 + (width + 7) // 8) * height)) if whole else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


BROKEN = {
    "empty": b"",
    "text": b"<svg onload=alert(1)>",
    "torn": image_bytes(1, size=(300, 300), kind="JPEG")[:400],
    "large": bomb(MAX_PIXELS // 1000 + 1, 1000, whole=True),
    "huge": bomb(100_000, 100_000, whole=False),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_or_hostile_image_has_no_thumbnail_and_stops_nothing(tmp_path, name):
    items = [
        item(write_file(tmp_path, "a.png", BROKEN[name])),
        item(write_file(tmp_path, "b.png", image_bytes(2))),
        item("gone.png"),
        item(None),
    ]
    assert [bool(each.thumbnail) for each in with_thumbnails(items, tmp_path)] == [False, True, False, False]


@pytest.mark.parametrize(
    "file", ["../secret.png", "/etc/hostname", "link.png", "images/../../secret.png", "a\0.png", ""]
)
def test_nothing_outside_the_folder_is_read(tmp_path, file):
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(image_bytes(1))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    assert make_thumbnail(folder, file) is None


def test_items_keep_their_order_and_are_not_read_far_ahead(tmp_path):
    taken = []

    def items():
        for number in range(300):
            taken.append(number)
            yield replace(item(write_file(tmp_path, f"{number}.png", image_bytes(number % 7))), row=number + 1)

    thumbnails = with_thumbnails(items(), tmp_path, threads=2)
    assert next(thumbnails).row == 1
    assert len(taken) < 100
    assert [each.row for each in thumbnails] == list(range(2, 301))


def test_earlier_versions_get_thumbnails(tmp_path):
    earlier = EarlierVersion(version=1, status="ok", file=write_file(tmp_path, "old.png", image_bytes(1)))
    (result,) = with_thumbnails([item(None, earlier=(earlier, replace(earlier, file=None)))], tmp_path)
    assert result.earlier[0].thumbnail
    assert result.earlier[1].thumbnail is None


def test_a_partly_written_thumbnail_is_deleted(tmp_path, monkeypatch):
    file = write_file(tmp_path, "a.png", image_bytes(1))

    def full_disk(self, target, *args, **kwargs):
        Path(target).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    assert make_thumbnail(tmp_path, file) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "a.png"]
