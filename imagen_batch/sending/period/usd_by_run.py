"""Counts what each run below a root takes of a limit: what it charged, or what it holds while it is running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imagen_batch.ledger.folds.charge_totals import kind_of
from imagen_batch.schedules.period_limits import PeriodLimit
from imagen_batch.sending.period.hourly_charges import Hours, sum_since
from imagen_batch.sending.period.reservation_files import Held


def usd_by_run(
    limit: PeriodLimit, runs: Mapping[str, Hours], running: Iterable[Held], *, provider: str, now: float
) -> dict[str, float]:
    """Return the USD of each run by its folder. What real providers and the simulator cost is not mixed."""
    since = now - limit.seconds
    counted = {name: sum_since(hours, provider=provider, moment=since) for name, hours in runs.items()}
    for held in running:
        if held.kind == kind_of(provider):
            promised = held.usd.get(limit.text, max(held.usd.values(), default=0.0))
            counted[held.folder] = max(counted.get(held.folder, 0.0), promised)
    return counted
