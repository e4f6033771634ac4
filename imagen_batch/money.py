"""How much was spent, and how much perhaps on top?"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Money:
    """What the run has cost so far, in USD. `maybe` is what lost replies and kills may have cost on top."""

    spent: float = 0.0
    maybe: float = 0.0
    unpriced: int = 0  # pictures and lost attempts whose price nobody knows

    @property
    def high(self) -> float:
        """The most that can have been charged, as far as prices are known."""
        return self.spent + self.maybe

    def add_maybe(self, usd: float | None) -> None:
        """An attempt that may have been charged, at its worst-case price."""
        self.maybe += usd or 0.0
        self.unpriced += usd is None
