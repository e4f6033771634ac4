"""Compares the sides of an image with the aspect ratio that its request names."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

_TOLERANCE: Final = 0.04
"""How far an aspect ratio may be off: the services round sides to multiples of 8 or 16 pixels."""

# Imagen's documented sizes for these ratios are 1280 x 896 and 896 x 1280, which is 7 % off.
_DOCUMENTED: Final = {"4:3": 1280 / 896, "3:4": 896 / 1280}


def has_other_ratio(width: int | None, height: int | None, requested: str | None, *, dialect: str) -> bool:
    """Whether an image has another aspect ratio than was requested; False where one of them is not known."""
    if not width or not height or not requested:
        return False
    allowed = _allowed_ratios(requested, dialect)
    return bool(allowed) and all(abs(width / height / ratio - 1) > _TOLERANCE for ratio in allowed)


@lru_cache(maxsize=256)
def _allowed_ratios(requested: str, dialect: str) -> tuple[float, ...]:
    ratio = parse_ratio(requested)
    if ratio is None:
        return ()
    documented = _DOCUMENTED.get(requested) if dialect == "predict" else None
    return (ratio,) if documented is None else (ratio, documented)


def parse_ratio(text: str) -> float | None:
    """Return width by height for an aspect ratio such as 16:9; None for any other text."""
    width, colon, height = text.partition(":")
    try:
        return (float(width) / float(height) or None) if colon else None
    except (ValueError, ArithmeticError):
        return None
