"""Computes what the rolling periods leave for a run before it starts. Reserves nothing and writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.records import CENT_FRACTION
from imagen_batch.schedules.period_limits import PeriodLimit, parse_period_limit
from imagen_batch.sending.period.budget_root import LOCK, find_root, hold_root
from imagen_batch.sending.period.reservation_files import Held, read_held
from imagen_batch.sending.period.spending_below_root import BUDGET_FOLDER, Spending
from imagen_batch.sending.period.usd_by_run import usd_by_run
from imagen_batch.settings import Settings


@dataclass(frozen=True, slots=True)
class PeriodRoom:
    """What a limit leaves. `counted` USD were charged or possibly charged, or are held by runs that are running."""

    limit: PeriodLimit
    root: str
    counted: float

    @property
    def left(self) -> float:
        """The USD that a run may still spend."""
        return max(0.0, self.limit.usd - self.counted)

    def fits(self, needed: float) -> bool:
        """Whether a run that needs so many USD fits."""
        return needed <= self.left + CENT_FRACTION


def find_room(settings: Settings, *, clock: Callable[[], float] = time.time) -> tuple[PeriodRoom, ...]:
    """Return what each --max-cost-per leaves. Raises SettingsInvalid where the sum is not known."""
    if not settings.max_cost_per:
        return ()
    root, _ = find_root(settings)
    now = clock()
    try:
        runs, running = Spending(root, keep=False).by_run(), _read_running(root)
    except OSError as error:
        raise SettingsInvalid(f"--budget-root {root} can't be read: {error.strerror or error}") from error
    rooms = []
    for text in settings.max_cost_per:
        limit = parse_period_limit(text)
        counted = usd_by_run(limit, runs, running, provider=settings.provider, now=now)
        rooms.append(PeriodRoom(limit, str(root), sum(counted.values())))
    return tuple(rooms)


def _read_running(root: Path) -> list[Held]:
    """Return what running runs hold. The lock keeps this from touching a file that a run has yet to lock."""
    if not (root / BUDGET_FOLDER / LOCK).exists():
        return []
    with hold_root(root):
        return read_held(root / BUDGET_FOLDER, own="", remove_free=False)
