"""Hashes what an image shows, with the library ImageHash, which is an extra.

The hash is a difference hash in both directions: the image is reduced to 9 x 8 gray pixels, and each of 64 bits is
set if a pixel is brighter than the one before it; 64 more bits compare pixels with those above them. Rescaling,
re-encoding, changes of brightness and small crops change few bits. Of the library's hashes this one found the most
variants at a limit that confuses no different images (python -m benchmarks.accuracy.near_duplicates).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

INSTALL: Final = "pip install 'imagen-batch[near-duplicates]'"


def can_hash() -> bool:
    """Return whether the library is installed."""
    return find_spec("imagehash") is not None


def perceptual_hash(image: Image.Image) -> tuple[int, int]:
    """Return the two halves of the hash, of 64 bits each."""
    import imagehash  # noqa: PLC0415 - an extra

    return _bits(imagehash.dhash(image).hash), _bits(imagehash.dhash_vertical(image).hash)


def _bits(truths: npt.NDArray[np.bool_]) -> int:
    return int(np.packbits(truths.ravel()).view(">u8")[0])
