"""Divides a run's rate, concurrency and budget among shards that many processes work on.

Each shard in flight gets the same part of rate and concurrency, and limits of its own in USD and images, taken from
what remains of the run's limits. What it did not use comes back when it ends. At no time do allocated limits and
past spending together exceed the run's limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from imagen_batch.records import CENT_FRACTION, ImageRequest


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in USD and in images; None is no limit."""

    usd: float | None = None
    images: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a shard used of its limits, possibly charged attempts included."""

    usd: float = 0.0
    images: int = 0


class Allocator:
    """Allocates limits to shards. `at_once` is the number of shards that should be in flight."""

    def __init__(self, limits: Limits, *, at_once: int) -> None:
        self._remaining = limits
        self._allocated: dict[int, Limits] = {}  # by shard
        self.at_once = at_once

    @property
    def in_flight(self) -> int:
        """The number of shards that hold limits."""
        return len(self._allocated)

    def allocate(self, shard: int, requests: Sequence[ImageRequest]) -> Limits | None:
        """Return limits for a shard; None while not even its first request fits within what remains."""
        wanted = Limits(
            sum(request.price or 0.0 for request in requests), sum(request.samples for request in requests)
        )
        minimum = Limits(requests[0].price or 0.0, requests[0].samples)
        remaining = self._remaining
        usd = _fair_part(remaining.usd, wanted.usd, minimum.usd, self._free_slots)
        images = _fair_part(remaining.images, wanted.images, minimum.images, self._free_slots)
        if (usd is None and remaining.usd is not None) or (images is None and remaining.images is not None):
            return None
        limits = Limits(usd, None if images is None else int(images))
        self._remaining = _subtract(remaining, limits.usd, limits.images)
        self._allocated[shard] = limits
        return limits

    def release(self, shard: int, used: Spent) -> None:
        """Take back what a shard that ended did not use."""
        limits = self._allocated.pop(shard)
        self._remaining = _subtract(
            self._remaining,
            None if limits.usd is None else used.usd - limits.usd,
            None if limits.images is None else used.images - limits.images,
        )

    def exceeded_limit(self, requests: Sequence[ImageRequest]) -> Literal["usd", "images"] | None:
        """Return the limit that the first of these requests would exceed."""
        remaining = self._remaining
        if remaining.usd is not None and (requests[0].price or 0.0) > remaining.usd + CENT_FRACTION:
            return "usd"
        return "images" if remaining.images is not None and requests[0].samples > remaining.images else None

    @property
    def _free_slots(self) -> int:
        return max(1, self.at_once - len(self._allocated))


def _fair_part(remaining: float | None, wanted: float | None, minimum: float | None, free_slots: int) -> float | None:
    """Return what is wanted, or a fair part where not all shards can have it; None where the minimum does not fit."""
    if remaining is None or wanted is None or minimum is None:
        return None
    share = min(wanted, max(remaining / free_slots, minimum))
    return share if share <= remaining + CENT_FRACTION else None


def _subtract(limits: Limits, usd: float | None, images: int | None) -> Limits:
    return Limits(
        None if limits.usd is None else limits.usd - (usd or 0.0),
        None if limits.images is None else limits.images - (images or 0),
    )
