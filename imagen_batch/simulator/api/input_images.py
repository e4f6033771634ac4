"""Reads the reference images in a request: their base64, their type by content, and whether they can be decoded."""

from __future__ import annotations

import io
from typing import Any

import pybase64
from PIL import Image

_PILLOW = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
_BOXED = ("image/heic", "image/heif")  # Pillow has no decoder for these
_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_MAX_PIXELS = 178_956_970


def decode_base64(text: str) -> bytes:
    """Decode bytes in proto JSON: either alphabet, padded or not. Raises ValueError."""
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    return pybase64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


def is_image(data: bytes, mime_type: str) -> bool:
    """Return whether the bytes are an image of that type."""
    if mime_type in _BOXED:
        return data[4:8] == b"ftyp" and data[8:12] in _BRANDS
    return open_image(data, mime_type) is not None


def open_image(data: bytes, mime_type: str) -> Image.Image | None:
    """Return the decoded image; None for damaged data, another type, and types that can't be shown."""
    if mime_type not in _PILLOW:
        return None
    try:
        image = Image.open(io.BytesIO(data), formats=[_PILLOW[mime_type]])
        if image.width * image.height > _MAX_PIXELS:
            return None
        image.load()
    except Exception:  # noqa: BLE001 - decoders raise many kinds of errors for hostile data
        return None
    return image


def inline_images(parts: list[dict[str, Any]]) -> tuple[tuple[str, bytes], ...]:
    """Return type and bytes of each image that is part of the request itself."""
    images = (part["inlineData"] for part in parts if "inlineData" in part)
    return tuple((image["mimeType"], decode_base64(image["data"])) for image in images)
