"""Checks that the budget limit is never exceeded under any schedule of threads and kills.

    python -m benchmarks.reliability.budget_limit [SCHEDULES=10000] [SEED=1]

Each schedule is a few threads that reserve, settle, release or keep at random under small limits, killed and
restarted a few times. A cashier beside the budget counts what is or may be charged, which must not exceed the limit.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from contextlib import suppress

from benchmarks.support.jobs import close
from imagen_batch.errors import Interrupted
from imagen_batch.sending.budget import Budget, Reservation
from imagen_batch.sending.stop import Stop

ROUNDING = 1e-6  # sums of prices are floats
PRICES = (0.02, 0.0351795, 0.04, 0.151)
STEPS = 8  # of a thread's life


class Cashier:
    """Counts the money of a job independently, over all lives of its process."""

    def __init__(self, dice: random.Random) -> None:
        self.limit = dice.choice((0.12, 0.35, 1.0))
        self.most_images = dice.choice((3, 10, 1000))
        self.spent = 0.0  # charged or possibly charged
        self.made = 0  # likewise
        self.granted = 0
        self.crossed = False
        self.crossed_images = False
        self.fullest = 0.0  # the largest part of the limit in use
        self._held = 0.0
        self._held_images = 0
        self._lock = threading.Lock()

    def grant(self, cost: float, images: int) -> None:
        """Count a reservation that the budget granted."""
        with self._lock:
            self.granted += 1
            self._held += cost
            self._held_images += images
            used = self.spent + self._held
            self.fullest = max(self.fullest, used / self.limit)
            self.crossed |= used > self.limit + ROUNDING
            self.crossed_images |= self.made + self._held_images > self.most_images

    def end(self, reservation: Reservation, *, spent: float, made: int) -> None:
        """Count the used part of a reservation before the budget may grant the rest to others."""
        with self._lock:
            self._held -= reservation.cost
            self._held_images -= reservation.images
            self.spent += spent
            self.made += made


def main() -> None:
    """Run the schedules and print what was tried."""
    arguments = [int(argument) for argument in sys.argv[1:]]
    schedules, seed = (*arguments, *(10_000, 1)[len(arguments) :])
    sys.setswitchinterval(1e-5)  # threads take turns often
    began = time.monotonic()
    cashiers = [_schedule(random.Random(f"{seed} {number}")) for number in range(schedules)]
    print(f"{'schedules':<36}{schedules:>10} in {time.monotonic() - began:.0f} s")
    print(f"{'reservations granted':<36}{sum(cashier.granted for cashier in cashiers):>10}")
    print(f"{'came within 5 % of the limit':<36}{sum(cashier.fullest > 0.95 for cashier in cashiers):>10}")
    print(f"{'exceeded the limit in USD':<36}{sum(cashier.crossed for cashier in cashiers):>10}")
    print(f"{'exceeded the limit in images':<36}{sum(cashier.crossed_images for cashier in cashiers):>10}")
    close(
        {
            "the limit in USD is never exceeded": not any(cashier.crossed for cashier in cashiers),
            "the limit in images is never exceeded": not any(cashier.crossed_images for cashier in cashiers),
        }
    )


def _schedule(dice: random.Random) -> Cashier:
    """Run a job of one to four lives."""
    cashier = Cashier(dice)
    for _ in range(dice.randint(1, 4)):
        _Life(cashier).live(dice)
    return cashier


class _Life:
    """One process of the job. Open reservations of earlier processes count as spent."""

    def __init__(self, cashier: Cashier) -> None:
        self._cashier = cashier
        self._stop = Stop()
        self._budget = Budget(
            max_cost=cashier.limit,
            max_images=cashier.most_images,
            spent=cashier.spent,
            images=cashier.made,
        )

    def live(self, dice: random.Random) -> None:
        """Run up to four threads until they are done, or one of them kills the process."""
        threads = [
            threading.Thread(target=self._work, args=(random.Random(dice.random()),))
            for _ in range(dice.randint(1, 4))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, dice: random.Random) -> None:
        with suppress(Interrupted):
            for _ in range(STEPS):
                images = dice.randint(1, 4)
                price = dice.choice(PRICES) * images
                reservation = self._budget.reserve(price, images, stop=self._stop)
                if reservation is not None:
                    self._cashier.grant(price, images)
                    self._end(reservation, dice)

    def _end(self, held: Reservation, dice: random.Random) -> None:
        if self._stop.is_set or dice.random() < 1 / 30:
            self._cashier.end(held, spent=held.cost, made=held.images)
            self._die()
            return
        what = dice.choice(("settle", "settle", "release", "hold"))
        share = dice.choice((1.0, dice.random()))
        cost = {"settle": held.cost * share, "release": 0.0, "hold": held.cost}[what]
        made = {"settle": round(held.images * share), "release": 0, "hold": held.images}[what]
        self._cashier.end(held, spent=cost, made=made)
        if what == "settle":
            held.settle(cost, made)
        else:
            getattr(held, what)()

    def _die(self) -> None:
        """Stop using the budget, and end the threads that wait for it."""
        self._stop.interrupt(signal.SIGKILL)
        with self._budget._changed:
            self._budget._changed.notify_all()


if __name__ == "__main__":
    main()
