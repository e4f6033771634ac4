"""Finds pairs of 128-bit hashes that differ in few bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

_BLOCK = 64  # compared with all earlier ones at a time: with 100,000 images that takes 51 MB


def near_pairs(across: Sequence[int], down: Sequence[int], *, distance: int) -> Iterator[tuple[int, int, int]]:
    """Yield each hash with its nearest earlier one within `distance` bits: position, earlier position, bits."""
    first, second = np.array(across, dtype=np.uint64), np.array(down, dtype=np.uint64)
    for start in range(0, len(first), _BLOCK):
        end = min(start + _BLOCK, len(first))
        bits = np.bitwise_count(first[start:end, None] ^ first[None, :end])
        bits += np.bitwise_count(second[start:end, None] ^ second[None, :end])
        for position in range(max(start, 1), end):
            row = bits[position - start, :position]
            nearest = int(row.argmin())
            if row[nearest] <= distance:
                yield position, nearest, int(row[nearest])
