"""Whole images in formats that the services do not make, the same ones each time."""

from __future__ import annotations

import io
import random
import struct

from PIL import Image

SIZE = (96, 64)


def art(seed: int = 1) -> Image.Image:
    """Return noise, so that every byte of a file matters."""
    return Image.frombytes("RGB", SIZE, random.Random(seed).randbytes(SIZE[0] * SIZE[1] * 3))


def encoded(form: str, image: Image.Image | None = None, **options: object) -> bytes:
    """Return the image as a file, encoded by Pillow."""
    file = io.BytesIO()
    (image or art()).save(file, form, **options)
    return file.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    """Return one box of an ISO base media file."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def heic() -> bytes:
    """Return the boxes of a HEIC; its coded pixels are noise, since no library here can encode them."""
    sides = box(b"ispe", bytes(4) + struct.pack(">II", *SIZE)) + box(b"ispe", bytes(4) + struct.pack(">II", 16, 16))
    meta = box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", sides)))
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + meta + box(b"mdat", random.Random(2).randbytes(3000))


HEIC = heic()
SOUND = {
    "gif plain": encoded("GIF"),
    "gif animated": encoded("GIF", save_all=True, append_images=[art(2), art(3)]),
    "bmp plain": encoded("BMP"),
    "bmp gray": encoded("BMP", art().convert("L")),
    "bmp one bit": encoded("BMP", art().convert("1")),
    "tiff plain": encoded("TIFF"),
    "tiff lzw": encoded("TIFF", compression="tiff_lzw"),
    "tiff deflate": encoded("TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": encoded("TIFF", compression="jpeg"),
    "tiff pages": encoded("TIFF", save_all=True, append_images=[art(2)])[:-4],  # without Pillow's padding
    "tiff big": encoded("TIFF", big_tiff=True),
    "avif plain": encoded("AVIF"),
    "avif lossless": encoded("AVIF", quality=100),
    "jp2 plain": encoded("JPEG2000"),
    "jp2 tiles": encoded("JPEG2000", tile_size=(32, 32)),
    "j2c plain": encoded("JPEG2000", no_jp2=True),
    "heic": HEIC,
}
