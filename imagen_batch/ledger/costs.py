"""How much was spent, and how much perhaps on top?"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Cost:
    """What the run has cost so far, in USD. `maybe` is what lost replies and kills may have cost on top."""

    spent: float = 0.0
    maybe: float = 0.0
    unpriced: int = 0  # pictures and lost attempts whose price nobody knows

    @property
    def high(self) -> float:
        """The most that can have been charged, as far as prices are known."""
        return self.spent + self.maybe

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.spent + other.spent, self.maybe + other.maybe, self.unpriced + other.unpriced)

    def add_maybe(self, usd: float | None) -> None:
        """An attempt that may have been charged, at its worst-case price."""
        self.maybe += usd or 0.0
        self.unpriced += usd is None


@dataclass(slots=True)
class Charges:
    """What one kind of provider was asked for: a simulator's charges are not real ones."""

    money: Cost = field(default_factory=Cost)
    pictures: int = 0
    possible_pictures: int = 0  # asked for in attempts that may have been charged
    lost_attempts: int = 0  # attempts that may have been charged, and brought nothing

    def __add__(self, other: Charges) -> Charges:
        """Both together."""
        return Charges(
            self.money + other.money,
            self.pictures + other.pictures,
            self.possible_pictures + other.possible_pictures,
            self.lost_attempts + other.lost_attempts,
        )

    def possibly_charged(self, usd: float | None, *, pictures: int) -> None:
        """An attempt that may have been charged, at its worst-case price."""
        self.money.add_maybe(usd)
        self.possible_pictures += pictures
        self.lost_attempts += 1
