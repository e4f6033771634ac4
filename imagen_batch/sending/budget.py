"""Decides whether an attempt may be paid for.

The worst case is reserved before an attempt and settled when its price is known, so that spent and reserved money
together never exceed a limit, however many threads ask at once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagen_batch.records import CENT_FRACTION, Limit
from imagen_batch.sending.stop import Stop

if TYPE_CHECKING:
    from imagen_batch.sending.period.grant import PeriodGrant

_MAX_WAIT_S = 0.5  # a stop can't notify: check for it this often


class Budget:
    """The limits of a run: `max_cost` and `max_cost_per_run` in USD, `max_images` in images; None is no limit.

    `spent` and `images` are what earlier runs into the same folder used, possibly charged attempts included. They
    count against the folder's limits, not against `max_cost_per_run`. `period` is what rolling periods leave for this
    run; None without such a limit.
    """

    def __init__(
        self,
        *,
        max_cost: float | None,
        max_images: int | None,
        max_cost_per_run: float | None = None,
        spent: float = 0.0,
        images: int = 0,
    ) -> None:
        self.period: PeriodGrant | None = None
        self._max_cost = max_cost
        self._max_images = max_images
        self._max_cost_per_run = max_cost_per_run
        self._before = spent
        self._cost = spent
        self._images = images
        self._outstanding = 0
        self._changed = threading.Condition()
        self.limit: Limit | None = None  # the first one that prevented an attempt

    def reserve(self, price: float | None, images: int, *, stop: Stop) -> Reservation | None:
        """Reserve the worst case of an attempt; None when it no longer fits within the limits.

        Waits while attempts in flight may still give back what they hold. Raises Interrupted on a stop.
        """
        cost = price or 0.0
        with self._changed:
            while (limit := self._exceeded(cost, images)) is not None:
                if self._outstanding == 0:
                    self.limit = self.limit or limit
                    return None
                stop.check()
                self._changed.wait(_MAX_WAIT_S)
            self._cost += cost
            self._images += images
            self._outstanding += 1
        return Reservation(self, cost, images)

    @property
    def is_exhausted(self) -> bool:
        """Whether a limit has prevented an attempt."""
        return self.limit is not None

    def mark_exhausted(self, limit: Limit) -> None:
        """Record a limit that prevented an attempt elsewhere: the budget was divided among workers."""
        self.limit = self.limit or limit

    @property
    def spent_before(self) -> float:
        """USD that earlier runs into the folder spent."""
        return self._before

    @property
    def used(self) -> tuple[float, int]:
        """USD and images that are spent or reserved."""
        with self._changed:
            return self._cost, self._images

    def _exceeded(self, cost: float, images: int) -> Limit | None:
        """Return the limit that an attempt at this price would exceed."""
        total = self._cost + cost
        if self._max_cost is not None and total > self._max_cost + CENT_FRACTION:
            return "max_cost"
        if self._max_cost_per_run is not None and total - self._before > self._max_cost_per_run + CENT_FRACTION:
            return "max_cost_per_run"
        if self._max_images is not None and self._images + images > self._max_images:
            return "max_images"
        if self.period is not None and cost and not self.period.extend(total - self._before):
            return "max_cost_per"
        return None

    def _settle(self, reservation: Reservation, *, cost: float, images: int) -> None:
        with self._changed:
            self._cost += cost - reservation.cost
            self._images += images - reservation.images
            self._outstanding -= 1
            self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money and images that one attempt holds. Exactly one of its methods must be called, once."""

    budget: Budget
    cost: float
    images: int

    def settle(self, cost: float, images: int) -> None:
        """Replace the worst case by the actual cost and images."""
        self.budget._settle(self, cost=cost, images=images)

    def release(self) -> None:
        """Give everything back: nothing was charged."""
        self.budget._settle(self, cost=0.0, images=0)

    def hold(self) -> None:
        """Count the worst case as spent: whether the attempt was charged is unknown."""
        self.budget._settle(self, cost=self.cost, images=self.images)
