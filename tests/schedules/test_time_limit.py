"""Tests of runs that end by the clock. Times are parameters."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.schedules.until_and_max_time import next_time, parse_span, time_limit
from imagen_batch.settings import make_settings

START = datetime(2026, 10, 1, 1, 15, tzinfo=UTC)


def test_durations_are_read_as_people_write_them() -> None:
    spans = {"2h": 7200, "90m": 5400, "1h30m": 5400, "45s": 45, "1.5h": 5400, "2 H": 7200, "30d": 2_592_000}
    assert {text: parse_span(text) for text in spans} == spans
    for wrong in ("", "2", "h", "2 weeks", "-1h", "0s", "1e3s", "400d", "2h!"):
        with pytest.raises(ValueError, match="expected a duration"):
            parse_span(wrong)


def test_the_next_time_of_day_is_in_the_given_zone() -> None:
    assert next_time("06:00", after=START, timezone="Europe/Paris") == datetime(2026, 10, 1, 4, tzinfo=UTC)
    assert next_time("03:15", after=START, timezone="Europe/Paris") == datetime(2026, 10, 2, 1, 15, tzinfo=UTC)


def test_a_night_with_a_change_of_clocks_has_its_own_length() -> None:
    """On 2026-10-25 clocks in Paris go back from 03:00 to 02:00."""
    evening = datetime(2026, 10, 24, 22, tzinfo=UTC)  # midnight in Paris
    assert next_time("06:00", after=evening, timezone="Europe/Paris") == datetime(2026, 10, 25, 5, tzinfo=UTC)


def test_a_time_that_clocks_show_twice_comes_twice() -> None:
    """A run that began between the two went on for a day."""

    def reached(after: datetime) -> datetime:
        return next_time("02:30", after=after, timezone="Europe/Paris").astimezone(UTC)

    between = datetime(2026, 10, 25, 0, 45, tzinfo=UTC)  # 02:45 in Paris, for the first time
    assert reached(between) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    after_both = datetime(2026, 10, 25, 1, 45, tzinfo=UTC)
    assert reached(after_both) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    in_gap = datetime(2026, 3, 29, 1, 15, tzinfo=UTC)  # 03:15 in Paris; 02:30 did not come
    assert reached(in_gap) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_sending_stops_before_the_end_by_grace_and_tables() -> None:
    limit = time_limit(until=None, max_time="2h", timezone=None, started=START, grace=30, samples=100_000)
    assert limit is not None
    assert limit.stop_at == START.timestamp() + 7200 - 30 - 15
    assert limit.grace == 30


def test_a_short_time_is_mostly_for_sending() -> None:
    limit = time_limit(until=None, max_time="8s", timezone=None, started=START, grace=30, samples=10)
    assert limit is not None
    assert (limit.stop_at - START.timestamp(), limit.grace) == (4, 2)


def test_the_earlier_limit_holds() -> None:
    both = time_limit(until="06:00", max_time="1h", timezone="UTC", started=START, grace=30, samples=10)
    assert both is not None
    assert both.option == "--max-time 1h"
    assert time_limit(until=None, max_time=None, timezone=None, started=START, grace=30, samples=10) is None


def test_wrong_times_are_refused() -> None:
    for name, wrong in (("until", "6"), ("until", "25:00"), ("max_time", "soon"), ("timezone", "Europe/Pari")):
        with pytest.raises(SettingsInvalid, match=name):
            make_settings({"prompts": "p.csv", name: wrong})
    assert make_settings({"prompts": "p.csv", "until": "6:00"}).until == "06:00"


def test_a_hostile_time_zone_reads_no_file() -> None:
    for wrong in ("../../etc/passwd", "/etc/passwd", "", "\x00"):
        with pytest.raises(SettingsInvalid):
            make_settings({"prompts": "p.csv", "timezone": wrong})
