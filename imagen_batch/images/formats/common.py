"""What all image formats share: an image's shape, limits on its sides, and how damage is reported."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.errors import Transient

_SIDE_MAX = 20_000
_PIXELS_MAX = 89_478_485  # where Pillow begins to warn of decompression bombs


@dataclass(frozen=True, slots=True)
class Shape:
    """What a sound picture says about itself. Sides are pixels; `c2pa`: carries signed provenance."""

    width: int
    height: int
    c2pa: bool


def invalid_image(message: str) -> Transient:
    """The error for a picture that came, and was billed, but is not whole."""
    return Transient(message, kind="damaged_picture", maybe_charged=True)


def require_size(width: int, height: int) -> None:
    """Refuse sides that no service makes, before a decoder sets memory aside for them."""
    if not (0 < width <= _SIDE_MAX and 0 < height <= _SIDE_MAX and width * height <= _PIXELS_MAX):
        raise invalid_image(f"the picture claims to be {width} x {height} pixels")
