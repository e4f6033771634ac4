"""Makes up for dates for which the schedule made no run at all: the server or the machine was off."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from zoneinfo import ZoneInfo

from imagen_batch.orchestration.deployments.date_and_due_check import Slot
from imagen_batch.orchestration.deployments.made_dates import settings_of_date, state_of
from imagen_batch.reports.summary import Summary
from imagen_batch.schedules.out_template import fields_in
from imagen_batch.schedules.scheduled_and_missed_moments import dates_between, missed_dates
from imagen_batch.settings import Settings

_DAYS = 31
"""How far back missed dates are looked for."""


def make_up(
    settings: Settings,
    slot: Slot,
    *,
    template: str | None,
    make: Callable[[Settings], Summary],
    log: Callable[[str], None],
) -> Summary | None:
    """Name the missed dates before this run's own; with `catch_up = each` make them first, the oldest first.

    `make` makes one run. One that stops early ends this: the run's own date meets the same reason. Returns the
    summary of a run that a signal interrupted: the run's own date is not begun then.
    """
    if settings.date is None or template is None or "date" not in fields_in(template) or slot.cron is None:
        return None
    given = settings.model_copy(update={"out": template})
    missed = find_missed(given, slot, before=settings.date)
    if not missed:
        return None
    span = f"--from {missed[0]} --to {missed[-1]}"
    dates = ", ".join(map(str, missed))
    if settings.catch_up != "each":
        log(f"missed and not made: {dates}. To make them: imagen-batch backfill {settings.job_name} {span}")
        return None
    log(f"missed, made now: {dates}")
    for date in missed:
        summary = make(settings_of_date(given, date, env=dict(os.environ)))
        log(f"{date}: {summary.counts['ok']} of {summary.asked} images, in {summary.facts.out}")
        if summary.exit_code not in (0, 3, 4):
            return summary if summary.state == "interrupted" else None
    return None


def find_missed(given: Settings, slot: Slot, *, before: dt.date) -> tuple[dt.date, ...]:
    """Return the scheduled dates before a date, at most a month back, that have no run."""
    zone = slot.timezone or "UTC"
    assert slot.cron is not None
    first = max(before - dt.timedelta(days=_DAYS), dt.date(1970, 1, 2))
    scheduled = dates_between(first, before - dt.timedelta(days=1), cron=slot.cron, timezone=ZoneInfo(zone).key)
    env = dict(os.environ)
    made = {day for day in scheduled if state_of(settings_of_date(given, day, env=env).folder) != "missing"}
    return missed_dates(scheduled, made)
