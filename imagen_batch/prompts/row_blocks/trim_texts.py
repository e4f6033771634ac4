"""Trims the texts of a column, and finds blank ones, exactly as `str.strip` does."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

SPACE: Final = (
    "".join(map(chr, (*range(0x9, 0xE), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))))
    + "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters that `str.strip` removes."""


def trim(texts: pa.StringArray) -> pa.StringArray:
    """Return the texts without the white space around them, as `str.strip` does."""
    return pc.utf8_trim(texts, characters=SPACE)


def are_blank(trimmed: pa.StringArray) -> pa.BooleanArray:
    """Return for each trimmed text whether nothing is left of it."""
    return pc.equal(pc.binary_length(trimmed), 0)


def has_blank(trimmed: pa.StringArray) -> bool:
    """Return whether nothing is left of any of the trimmed texts."""
    return bool(pc.any(are_blank(trimmed)).as_py())
