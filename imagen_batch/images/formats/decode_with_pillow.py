"""Decodes an image with one plugin of Pillow, for formats whose files have no checksum of their pixels."""

from __future__ import annotations

import io
import struct
import threading
from contextlib import nullcontext

from imagen_batch.errors import InvalidImage
from imagen_batch.images.formats.shape_limits import require_size

_LARGE_PIXELS = 1 << 25  # twice the pixels of the largest image that a service produces
_LARGE_IMAGE_LOCK = threading.Lock()  # large images are decoded one at a time: each may take a few hundred megabytes

# Pillow's parsers raise all of these on broken files; a warning is raised where warnings are errors.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    struct.error,
    Warning,
)


def decode(data: bytes, plugin: str, *, name: str) -> tuple[int, int]:
    """Decode the first frame with one plugin of Pillow and return its sides; raises InvalidImage if that fails.

    Check the sides in the header with `require_size` first: Pillow warns of large ones while it opens a file.
    """
    from PIL import Image  # noqa: PLC0415 - not needed before the first image

    try:
        with Image.open(io.BytesIO(data), formats=(plugin,)) as image:
            width, height = image.size
            require_size(width, height)
            with _LARGE_IMAGE_LOCK if width * height > _LARGE_PIXELS else nullcontext():
                image.load()
            return width, height
    except (*_DECODER_ERRORS, Image.DecompressionBombError) as exc:
        raise InvalidImage(f"the {name} can't be decoded: {exc}") from exc
