"""May this attempt be paid for?

The worst case is reserved before an attempt and settled when its price is known, so that what is spent and
what is reserved together never exceed the wall, however many threads ask at once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from imagen_batch.records import CENT_FRACTION, Limit
from imagen_batch.sending.stop import Stop


class Budget:
    """The walls of a run: `max_cost` and `max_cost_per_run` in USD, `max_images` in pictures; None means no wall.

    `spent` and `pictures` are what earlier runs into the same folder used, perhaps charged attempts included:
    they count against the folder's walls, not against that of this run alone.
    """

    def __init__(
        self,
        *,
        max_cost: float | None,
        max_images: int | None,
        max_cost_per_run: float | None = None,
        spent: float = 0.0,
        pictures: int = 0,
    ) -> None:
        self._max_cost = max_cost
        self._max_images = max_images
        self._max_cost_per_run = max_cost_per_run
        self._before = spent
        self._cost = spent
        self._pictures = pictures
        self._outstanding = 0
        self._changed = threading.Condition()
        self.limit: Limit | None = None

    def reserve(self, price: float | None, pictures: int, *, stop: Stop) -> Reservation | None:
        """Set the worst case of an attempt aside; None when it does not fit below the wall any more.

        Waits while attempts in flight may still give back what they hold. Raises Interrupted on a stop.
        """
        cost = price or 0.0
        with self._changed:
            while (limit := self._exceeded(cost, pictures)) is not None:
                if self._outstanding == 0:
                    self.limit = self.limit or limit
                    return None
                stop.check()
                self._changed.wait(0.5)
            self._cost += cost
            self._pictures += pictures
            self._outstanding += 1
        return Reservation(self, cost, pictures)

    @property
    def hit(self) -> bool:
        """Whether a wall has left something out."""
        return self.limit is not None

    def exhausted(self, limit: Limit) -> None:
        """A wall left something out that was never tried to reserve here: it was shared out to workers."""
        self.limit = self.limit or limit

    @property
    def spent_before(self) -> float:
        """USD that earlier runs into the folder spent."""
        return self._before

    @property
    def used(self) -> tuple[float, int]:
        """USD and pictures that are spent or set aside."""
        with self._changed:
            return self._cost, self._pictures

    def _exceeded(self, cost: float, pictures: int) -> Limit | None:
        """The wall that an attempt at this price would cross."""
        total = self._cost + cost
        if self._max_cost is not None and total > self._max_cost + CENT_FRACTION:
            return "max_cost"
        if self._max_cost_per_run is not None and total - self._before > self._max_cost_per_run + CENT_FRACTION:
            return "max_cost_per_run"
        if self._max_images is not None and self._pictures + pictures > self._max_images:
            return "max_images"
        return None

    def _settle(self, reservation: Reservation, *, cost: float, pictures: int) -> None:
        with self._changed:
            self._cost += cost - reservation.cost
            self._pictures += pictures - reservation.pictures
            self._outstanding -= 1
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Reservation:
    """What one attempt holds. Exactly one of its methods is called."""

    budget: Budget
    cost: float
    pictures: int

    def settle(self, cost: float, pictures: int) -> None:
        """The attempt brought a result at this price."""
        self.budget._settle(self, cost=cost, pictures=pictures)

    def release(self) -> None:
        """The attempt was refused: nothing is charged."""
        self.budget._settle(self, cost=0.0, pictures=0)

    def keep(self) -> None:
        """Nobody knows whether it was charged: money and pictures stay set aside."""
        self.budget._settle(self, cost=self.cost, pictures=self.pictures)
