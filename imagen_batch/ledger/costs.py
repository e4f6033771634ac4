"""Adds up the costs of attempts: the certain part, and the part that may have been charged in addition."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Cost:
    """A cost in USD. `possible` is what lost replies and killed processes may have cost in addition to `spent`."""

    spent: float = 0.0
    possible: float = 0.0
    unpriced: int = 0  # images and lost attempts whose price is unknown

    @property
    def upper_bound(self) -> float:
        """The most that can have been charged, as far as prices are known."""
        return self.spent + self.possible

    def __add__(self, other: Cost) -> Cost:
        """Return the sum."""
        return Cost(self.spent + other.spent, self.possible + other.possible, self.unpriced + other.unpriced)

    def add_possible(self, usd: float | None) -> None:
        """Add the worst-case price of an attempt that may have been charged."""
        self.possible += usd or 0.0
        self.unpriced += usd is None


@dataclass(slots=True)
class Charges:
    """What one kind of provider charged or may have charged. A simulator's charges are not real."""

    cost: Cost = field(default_factory=Cost)
    images: int = 0
    possible_images: int = 0  # requested by attempts that may have been charged
    lost_attempts: int = 0  # attempts that may have been charged, without a result

    def __add__(self, other: Charges) -> Charges:
        """Return the sum."""
        return Charges(
            self.cost + other.cost,
            self.images + other.images,
            self.possible_images + other.possible_images,
            self.lost_attempts + other.lost_attempts,
        )

    def add_possible(self, usd: float | None, *, images: int) -> None:
        """Add an attempt that may have been charged, at its worst-case price."""
        self.cost.add_possible(usd)
        self.possible_images += images
        self.lost_attempts += 1
