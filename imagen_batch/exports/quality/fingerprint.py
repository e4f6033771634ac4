"""Measures one image: its size, whether it is a single flat color, and a perceptual hash."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imagen_batch.exports.quality.perceptual_hash import perceptual_hash

_FLAT = 4  # gray levels between the darkest and the brightest pixel, beyond what JPEG makes of one color


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The measures of an image. `across` and `down` are the two halves of the hash; sides are in decoded pixels.

    `plain`: the image has too little structure for a meaningful hash, or none was requested.
    """

    across: int
    down: int
    flat: bool
    plain: bool
    width: int
    height: int


def fingerprint(data: bytes, *, hashed: bool = True) -> Fingerprint:
    """Return the fingerprint of an encoded image; a JPEG is decoded at a fraction of its size.

    With `hashed` the library of the perceptual hash has to be installed.
    """
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        image.draft("RGB", (256, 256))
        colors = image.convert("RGB")
        colors.thumbnail((256, 256), Image.Resampling.BOX, reducing_gap=None)
    plain = not hashed or _is_plain(colors)
    across, down = (0, 0) if plain else perceptual_hash(colors)
    flat = max(brightest - darkest for darkest, brightest in _extremes(colors)) <= _FLAT
    return Fingerprint(across, down, flat, plain, width, height)


def _is_plain(colors: Image.Image) -> bool:
    pixels = np.asarray(colors.convert("L").resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return int(pixels.max() - pixels.min()) < 2 * _FLAT


def _extremes(colors: Image.Image) -> list[tuple[int, int]]:
    return [channel.getextrema() for channel in colors.split()]  # type: ignore[misc]
