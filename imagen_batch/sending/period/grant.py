"""Grants a run the money that the rolling periods leave, and more of it when it needs more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.ledger.folds.charge_totals import kind_of
from imagen_batch.records import CENT_FRACTION
from imagen_batch.schedules.period_limits import PeriodLimit, parse_period_limit
from imagen_batch.sending.period.budget_root import find_root, hold_root
from imagen_batch.sending.period.reservation_files import Held, ReservationFile, read_held
from imagen_batch.sending.period.spending_below_root import BUDGET_FOLDER, Spending
from imagen_batch.sending.period.usd_by_run import usd_by_run
from imagen_batch.settings import Settings
from imagen_batch.text import usd

_PART = 0.05  # of the first grant, that a run asks for at a time when it needs more
_AGAIN_S = 5.0  # after a refusal


class PeriodGrant:
    """The USD that this run may spend. Safe for use by several threads."""

    def __init__(
        self, root: Path, folder: str, limits: Sequence[PeriodLimit], *, provider: str, clock: Callable[[], float]
    ) -> None:
        self._root, self._folder, self._limits = root, folder, tuple(limits)
        self._provider, self._clock = provider, clock
        self._spending = Spending(root)
        self._before: dict[str, float] = {}  # by limit: what the folder had charged when this run began
        self._lock = threading.Lock()
        self._refused_at = float("-inf")
        self._first = 0.0
        self.granted = 0.0
        self.reached: PeriodLimit | None = None  # the limit that leaves nothing more, and what counts against it
        self.counted = 0.0
        with hold_root(root):  # no other process may find the file before it is locked and has its content
            self._reservation = ReservationFile(root / BUDGET_FOLDER)
            self._reservation.write(Held(folder, kind_of(provider), {}))

    def reserve(self, wanted: float) -> None:
        """Take up to `wanted` USD for the beginning."""
        with self._lock:
            self._take(wanted)
            self._first = self.granted

    def extend(self, needed: float) -> bool:
        """Take more, so that `needed` USD are granted in all; False where the periods do not leave that."""
        with self._lock:
            if needed <= self.granted + CENT_FRACTION:
                return True
            if self._clock() - self._refused_at < _AGAIN_S:
                return False
            self._take(needed - self.granted + _PART * self._first)
            if needed <= self.granted + CENT_FRACTION:
                return True
            self._refused_at = self._clock()
            return False

    def release(self) -> None:
        """Give back what was not spent; the ledger has what was."""
        self._reservation.release()

    def describe(self, spent: float) -> str:
        """Say which limit was reached and what counts against it. `spent` is what this run spent itself."""
        limit = self.reached or self._limits[0]
        counted = usd(self.counted + spent)
        return f"{counted} of --max-cost-per {limit.text} is spent, possibly charged or reserved below {self._root}"

    def _take(self, more: float) -> None:
        with hold_root(self._root):
            counted = self._count()
            room = min(limit.usd - counted[limit.text] for limit in self._limits) - self.granted
            self.granted += max(0.0, min(more, room))
            if room < more:
                self.reached = min(self._limits, key=lambda limit: limit.usd - counted[limit.text])
                self.counted = counted[self.reached.text]
            held = {text: before + self.granted for text, before in self._before.items()}
            self._reservation.write(Held(self._folder, kind_of(self._provider), held))

    def _count(self) -> dict[str, float]:
        """Return what counts against each limit, without what is granted to this run."""
        runs, now = self._spending.by_run(), self._clock()
        running = read_held(self._root / BUDGET_FOLDER, own=self._reservation.name)
        totals = {}
        for limit in self._limits:
            counted = usd_by_run(limit, runs, running, provider=self._provider, now=now)
            own = self._before.setdefault(limit.text, counted.pop(self._folder, 0.0))
            totals[limit.text] = own + sum(counted.values())
        return totals


@contextmanager
def period_grant(
    settings: Settings, *, wanted: Callable[[], float], clock: Callable[[], float] = time.time
) -> Iterator[PeriodGrant | None]:
    """Hold the money of the periods for this run, and give the rest back at its end; None without --max-cost-per.

    `wanted` returns the USD that the run may need. Raises SettingsInvalid where the sum is not known.
    """
    if not settings.max_cost_per:
        yield None
        return
    root, folder = find_root(settings)
    limits = [parse_period_limit(text) for text in settings.max_cost_per]
    try:
        (root / BUDGET_FOLDER).mkdir(parents=True, exist_ok=True)
        grant = PeriodGrant(root, folder, limits, provider=settings.provider, clock=clock)
    except OSError as error:
        raise SettingsInvalid(f"--budget-root {root} can't be used: {error.strerror or error}") from error
    try:
        grant.reserve(wanted())
        yield grant
    finally:
        grant.release()
