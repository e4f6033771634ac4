"""Measures one image: a perceptual hash and whether it is a single flat color.

The hash is a difference hash in both directions: the image is reduced to 9 x 8 gray pixels, and each of 64 bits is
set if a pixel is brighter than its right neighbor; 64 more bits compare pixels with those below them. Rescaling,
re-encoding, changes of brightness and small crops change few bits. A library for it (ImageHash) would bring scipy
and PyWavelets for thirty lines.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

_FLAT = 4  # gray levels between the darkest and the brightest pixel, beyond what JPEG makes of one color


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The measures of an image. `across` and `down` are the two halves of the hash; sides are in decoded pixels.

    `plain`: the image has too little structure for a meaningful hash.
    """

    across: int
    down: int
    flat: bool
    plain: bool
    width: int
    height: int


def fingerprint(data: bytes) -> Fingerprint:
    """Return the fingerprint of an encoded image; a JPEG is decoded at a fraction of its size."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        image.draft("RGB", (256, 256))
        colors = image.convert("RGB")
        colors.thumbnail((256, 256), Image.Resampling.BOX, reducing_gap=None)
    gray = colors.convert("L")
    wide, high = _shrink(gray, 9, 8), _shrink(gray, 8, 9)
    return Fingerprint(
        across=_bits(wide[:, 1:] > wide[:, :-1]),
        down=_bits(high[1:, :] > high[:-1, :]),
        flat=max(brightest - darkest for darkest, brightest in _extremes(colors)) <= _FLAT,
        plain=int(wide.max() - wide.min()) < 2 * _FLAT,
        width=width,
        height=height,
    )


def _shrink(gray: Image.Image, width: int, height: int) -> npt.NDArray[np.int16]:
    return np.asarray(gray.resize((width, height), Image.Resampling.BOX), dtype=np.int16)


def _bits(truths: npt.NDArray[np.bool_]) -> int:
    return int(np.packbits(truths.ravel()).view(">u8")[0])


def _extremes(colors: Image.Image) -> list[tuple[int, int]]:
    return [channel.getextrema() for channel in colors.split()]  # type: ignore[misc]
