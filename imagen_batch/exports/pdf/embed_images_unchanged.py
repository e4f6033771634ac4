"""Puts images into a PDF without decoding them: JPEG data unchanged, PNG data as its own deflate stream.

Images that PDF can't contain in that way (with transparency, interlaced, WebP) are decoded and stored without loss.
"""

from __future__ import annotations

import hashlib
import io
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfdoc

from imagen_batch.exports.rows.manifest import RunImage

_CHANNELS = {0: ("DeviceGray", 1), 2: ("DeviceRGB", 3), 3: ("Indexed", 1)}
_COLORS = {"L": "DeviceGray", "RGB": "DeviceRGB", "CMYK": "DeviceCMYK"}


@dataclass(frozen=True, slots=True)
class Encoded:
    """Image data that a PDF reader decodes itself. `palette` holds RGB bytes of an indexed image."""

    width: int
    height: int
    bits: int
    color: str
    filter: str
    data: bytes
    channels: int = 3
    palette: bytes = b""


def draw_image(canvas: Any, image: RunImage, data: bytes, *, box: tuple[float, float, float, float]) -> None:
    """Draw the image into a box: left, bottom, width and height in points."""
    encoded = encoded_form(data)
    name = hashlib.sha256(image.file.encode(errors="replace")).hexdigest()
    if encoded is None:
        with Image.open(io.BytesIO(data)) as opened:
            canvas.drawImage(ImageReader(opened), *box, mask="auto")
        return
    document = canvas._doc
    registered = document.getXObjectName(name)
    if registered not in document.idToObject:
        form = _Embedded(name, encoded)
        canvas._setXObjects(form)
        document.Reference(form, registered)
        document.addForm(name, form)
    canvas._formsinuse.append(name)
    canvas._currentPageHasImages = 1
    left, bottom, width, height = box
    canvas.saveState()
    canvas.translate(left, bottom)
    canvas.scale(width, height)
    canvas._code.append(f"/{registered} Do")
    canvas.restoreState()


def encoded_form(data: bytes) -> Encoded | None:
    """Return the data in the form that PDF can contain; None if it has to be decoded."""
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    return _png(data) if data.startswith(b"\x89PNG\r\n\x1a\n") else None


def _jpeg(data: bytes) -> Encoded | None:
    with Image.open(io.BytesIO(data)) as image:
        color = _COLORS.get(image.mode)
        return Encoded(*image.size, 8, color, "DCTDecode", data) if color else None


def _png(data: bytes) -> Encoded | None:
    width, height, bits, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    chunks = _chunks(data)
    if kind not in _CHANNELS or interlaced or b"tRNS" in chunks:
        return None
    color, channels = _CHANNELS[kind]
    pixels = b"".join(chunks.get(b"IDAT", []))
    return Encoded(width, height, bits, color, "FlateDecode", pixels, channels, b"".join(chunks.get(b"PLTE", [])))


def _chunks(data: bytes) -> dict[bytes, list[bytes]]:
    chunks: dict[bytes, list[bytes]] = {}
    at = 8
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        chunks.setdefault(kind, []).append(data[at + 8 : at + 8 + size])
        at += 12 + size
    return chunks


class _Embedded(pdfdoc.PDFImageXObject):  # type: ignore[misc]
    """An image object that is written in its encoded form."""

    def __init__(self, name: str, encoded: Encoded) -> None:
        self.name = name
        self._encoded: Encoded | None = encoded

    def format(self, document: Any) -> bytes:
        """Return the bytes of the object, which is written once, and release the image."""
        encoded, self._encoded = self._encoded, None
        assert encoded is not None
        stream = pdfdoc.PDFStream(content=encoded.data)
        entries = stream.dictionary
        entries["Type"], entries["Subtype"] = pdfdoc.PDFName("XObject"), pdfdoc.PDFName("Image")
        entries["Width"], entries["Height"] = encoded.width, encoded.height
        entries["BitsPerComponent"] = encoded.bits
        entries["ColorSpace"] = _color_space(encoded)
        entries["Filter"] = pdfdoc.PDFName(encoded.filter)
        if encoded.color == "DeviceCMYK":  # written inverted by everything that writes them
            entries["Decode"] = pdfdoc.PDFArray([1, 0] * 4)
        if encoded.filter == "FlateDecode":
            entries["DecodeParms"] = pdfdoc.PDFDictionary(
                {
                    "Predictor": 15,
                    "Colors": encoded.channels,
                    "BitsPerComponent": encoded.bits,
                    "Columns": encoded.width,
                }
            )
        entries["Length"] = len(encoded.data)
        return bytes(stream.format(document))


def _color_space(encoded: Encoded) -> Any:
    if encoded.color != "Indexed":
        return pdfdoc.PDFName(encoded.color)
    names = [pdfdoc.PDFName("Indexed"), pdfdoc.PDFName("DeviceRGB"), len(encoded.palette) // 3 - 1]
    return pdfdoc.PDFArray([*names, _Hex(encoded.palette)])


class _Hex(pdfdoc.PDFObject):  # type: ignore[misc]
    def __init__(self, data: bytes) -> None:
        self._data = data

    def format(self, _document: Any) -> bytes:
        return b"<" + self._data.hex().encode() + b">"
