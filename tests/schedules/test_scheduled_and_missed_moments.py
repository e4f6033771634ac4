"""Tests of the moments of a schedule."""

from __future__ import annotations

import datetime as dt

import pytest

from imagen_batch.schedules.scheduled_and_missed_moments import (
    check_cron,
    dates_between,
    missed_dates,
    reason_to_skip,
    slots_after,
)

NIGHT = dt.datetime(2026, 10, 1, 0, 15, tzinfo=dt.UTC)


def test_schedules_are_checked() -> None:
    assert check_cron("15 2 * * *") == "15 2 * * *"
    for wrong in ("", "nightly", "61 2 * * *", "15 2 * *", "15 2 * * * *", "0 0 31 2 *"):
        with pytest.raises(ValueError, match=r"schedule|never"):
            check_cron(wrong)


def test_a_moment_stays_at_its_local_time_when_clocks_change() -> None:
    before = dt.datetime(2026, 10, 24, tzinfo=dt.UTC)
    slots = slots_after(before, cron="15 4 * * *", timezone="Europe/Paris")
    hours = [next(slots).astimezone(dt.UTC).hour for _ in range(3)]
    assert hours == [2, 3, 3]


def test_dates_follow_the_schedule() -> None:
    days = dates_between(dt.date(2026, 10, 1), dt.date(2026, 10, 7), cron="0 3 * * 1-5", timezone="Europe/Paris")
    assert [day.day for day in days] == [1, 2, 5, 6, 7]
    assert len(dates_between(dt.date(2026, 10, 1), dt.date(2026, 10, 7))) == 7


def test_missed_dates_begin_after_the_first_run() -> None:
    days = dates_between(dt.date(2026, 10, 1), dt.date(2026, 10, 6))
    assert missed_dates(days, set()) == ()
    assert [day.day for day in missed_dates(days, {days[1], days[4]})] == [3, 4, 6]


def test_each_policy_decides_about_late_runs() -> None:
    hours, following = dt.timedelta(hours=1), NIGHT + dt.timedelta(days=1)
    decisions = {
        policy: [
            reason_to_skip(NIGHT, now=NIGHT + late * hours, following=following, policy=policy) is None
            for late in (0.5, 8, 30)
        ]
        for policy in ("skip", "last", "each")
    }
    assert decisions == {"skip": [True, False, False], "last": [True, True, False], "each": [True, True, True]}
