"""Names the size of a dataset as its hub does."""

from __future__ import annotations

_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)


def size_category(count: int) -> str:
    """Return the name of the category of so many images."""
    return next((word for limit, word in _SIZES if count < limit), "100M<n<1B")
