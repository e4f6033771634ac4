"""What of the account's rate, of the concurrency and of the money may each shard use, where shards are made by many
processes?

Each shard in flight gets the same part of rate and concurrency, and a wall of its own in money and pictures, cut from
what is left of the run's. What it did not use comes back when it ends. At no moment do the walls that are out and
what was spent exceed the run's wall together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagen_batch.records import CENT_FRACTION, ImageRequest


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in USD and in pictures; None where there is none."""

    usd: float | None = None
    pictures: int | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a shard used of its wall, perhaps charged attempts included."""

    usd: float = 0.0
    pictures: int = 0


class Allocator:
    """Hands out walls. `at_once` is how many shards are to be in flight."""

    def __init__(self, wall: Limits, *, at_once: int) -> None:
        self._left = wall
        self._out: dict[int, Limits] = {}
        self.at_once = at_once

    @property
    def in_flight(self) -> int:
        """Shards that hold a wall."""
        return len(self._out)

    def take(self, shard: int, requests: Sequence[ImageRequest]) -> Limits | None:
        """A wall for a shard; None while not even its first request fits below what is left."""
        wanted = Limits(sum(one.price or 0.0 for one in requests), sum(one.samples for one in requests))
        least = Limits(requests[0].price or 0.0, requests[0].samples)
        usd = _part(self._left.usd, wanted.usd, least.usd, self._free)
        pictures = _part(self._left.pictures, wanted.pictures, least.pictures, self._free)
        if (usd is None and self._left.usd is not None) or (pictures is None and self._left.pictures is not None):
            return None
        wall = Limits(usd, None if pictures is None else int(pictures))
        self._left = _less(self._left, wall.usd, wall.pictures)
        self._out[shard] = wall
        return wall

    def give_back(self, shard: int, used: Spent) -> None:
        """A shard has ended."""
        wall = self._out.pop(shard)
        self._left = _less(
            self._left,
            None if wall.usd is None else used.usd - wall.usd,
            None if wall.pictures is None else used.pictures - wall.pictures,
        )

    def lacking(self, requests: Sequence[ImageRequest]) -> str | None:
        """Which part of the run's wall does not admit the first of these requests: "usd" or "pictures"."""
        left = self._left
        if left.usd is not None and (requests[0].price or 0.0) > left.usd + CENT_FRACTION:
            return "usd"
        return "pictures" if left.pictures is not None and requests[0].samples > left.pictures else None

    @property
    def _free(self) -> int:
        return max(1, self.at_once - len(self._out))


def _part(left: float | None, wanted: float | None, least: float | None, free: int) -> float | None:
    """What is wanted, or a fair part where not all can have that; None where the least does not fit."""
    if left is None or wanted is None or least is None:
        return None
    part = min(wanted, max(left / free, least))
    return part if part <= left + CENT_FRACTION else None


def _less(left: Limits, usd: float | None, pictures: int | None) -> Limits:
    return Limits(
        None if left.usd is None else left.usd - (usd or 0.0),
        None if left.pictures is None else left.pictures - (pictures or 0),
    )
