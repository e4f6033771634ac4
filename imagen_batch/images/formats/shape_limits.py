"""Defines what all image formats share: the shape of an image and limits on its sides."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.errors import InvalidImage

_MAX_SIDE = 20_000
_MAX_PIXELS = 89_478_485  # where Pillow begins to warn of decompression bombs


@dataclass(frozen=True, slots=True)
class Shape:
    """Width and height in pixels; `c2pa` is True where the image carries signed provenance."""

    width: int
    height: int
    c2pa: bool


def require_size(width: int, height: int) -> None:
    """Reject sides that no service produces, before a decoder allocates memory for them."""
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE and width * height <= _MAX_PIXELS):
        raise InvalidImage(f"the image claims to be {width} x {height} pixels")
