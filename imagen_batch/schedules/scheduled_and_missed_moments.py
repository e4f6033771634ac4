"""Finds the moments of a schedule, and decides about those that were missed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import islice
from typing import Literal
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

CatchUp = Literal["skip", "last", "each"]

LATE_S = 3600.0
"""A run that begins later than this after its moment was missed."""
_MAX_SLOTS = 10_000


def check_cron(text: str) -> str:
    """Return a schedule such as `15 2 * * *`. Raises ValueError."""
    if len(text.split()) != 5:
        raise ValueError(
            f"{text!r} is not a schedule: expected minute, hour, day, month and weekday, as '15 2 * * *'"
        )
    try:
        next(CronSim(text, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)))
    except CronSimError as error:
        raise ValueError(f"{text!r} is not a schedule: {error}") from None
    except StopIteration:
        raise ValueError(f"{text!r} is a moment that never comes") from None
    return text


def slots_after(moment: dt.datetime, *, cron: str, timezone: str) -> Iterator[dt.datetime]:
    """Yield the moments of a schedule after `moment`, in its time zone."""
    yield from islice(CronSim(cron, moment.astimezone(ZoneInfo(timezone))), _MAX_SLOTS)


def reason_to_skip(
    slot: dt.datetime, *, now: dt.datetime, following: dt.datetime | None, policy: CatchUp
) -> str | None:
    """Return why the run of `slot` is not made any more; None where it is.

    `following` is the next moment of the schedule.
    """
    if policy == "each":
        return None
    if following is not None and following <= now:
        return "a later run of the schedule is due (--catch-up each makes both)"
    late = (now - slot).total_seconds()
    if policy == "skip" and late > LATE_S:
        return f"it is {late / 3600:.1f} hours late (--catch-up last makes it)"
    return None


def dates_between(
    first: dt.date, last: dt.date, *, cron: str | None = None, timezone: str = "UTC"
) -> tuple[dt.date, ...]:
    """Return the dates from `first` to `last` on which a schedule has a moment; every date without a schedule."""
    days = [first + dt.timedelta(days) for days in range((last - first).days + 1)]
    if cron is None:
        return tuple(days)
    before = dt.datetime.combine(first, dt.time(), ZoneInfo(timezone)) - dt.timedelta(seconds=1)
    scheduled = set()
    for slot in slots_after(before, cron=cron, timezone=timezone):
        if slot.date() > last:
            break
        scheduled.add(slot.date())
    return tuple(day for day in days if day in scheduled)


def missed_dates(scheduled: tuple[dt.date, ...], made: set[dt.date]) -> tuple[dt.date, ...]:
    """Return the scheduled dates without a run, after the first date that has one."""
    if not made:
        return ()
    return tuple(day for day in scheduled if day > min(made) and day not in made)
