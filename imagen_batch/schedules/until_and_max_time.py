"""Decides when a run has to stop sending so that it has ended before a time of day or after a duration."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_SPAN = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhd])+")
_SPAN_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_TABLES_S, _SAMPLES_PER_S = 5.0, 10_000.0  # at the end of a run tables are written
_MAX_PART = 0.25  # of the whole time, for the grace and for the tables


def parse_span(text: str) -> float:
    """Return seconds for a duration such as 2h, 90m, 1h30m or 45s. Raises ValueError."""
    folded = text.strip().lower().replace(" ", "")
    if not _SPAN.fullmatch(folded):
        raise ValueError("expected a duration such as 2h, 90m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _SPAN_PART.findall(folded))
    if not 0 < seconds <= 366 * _UNITS["d"]:
        raise ValueError("expected a duration of more than 0 and at most 366d")
    return seconds


def check_span(text: str) -> str:
    """Return a duration as it was written. Raises ValueError."""
    parse_span(text)
    return text


def check_time(text: str) -> str:
    """Return a time of day such as 06:00 as HH:MM. Raises ValueError."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("expected a time of day such as 06:00")
    return f"{int(match[1]):02}:{match[2]}"


def check_timezone(name: str) -> str:
    """Return the name of a time zone. Raises ValueError for one that is not known."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError("expected a time zone such as Europe/Paris") from None
    except KeyError:
        raise ValueError("unknown time zone; expected a name such as Europe/Paris or UTC") from None
    return name


def next_time(text: str, *, after: dt.datetime, timezone: str | None) -> dt.datetime:
    """Return the next moment at which clocks in `timezone` show the time `text`; None is the zone of this machine."""
    zone = ZoneInfo(timezone) if timezone else None
    local = after.astimezone(zone)
    hour, minute = map(int, text.split(":"))
    for days in range(3):
        day = local.date() + dt.timedelta(days=days)
        for fold in (0, 1):  # where clocks go back, they show a time twice
            naive = dt.datetime.combine(day, dt.time(hour, minute, fold=fold))
            moment = naive.replace(tzinfo=zone) if zone else naive.astimezone()
            if moment.timestamp() > after.timestamp():
                return moment
    raise AssertionError("a time of day comes within two days")


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """When a run stops sending, in seconds since 1970, and how long requests in flight may take after that."""

    stop_at: float
    grace: float
    option: str  # that set the limit, as it is typed
    end: dt.datetime


def time_limit(
    *, until: str | None, max_time: str | None, timezone: str | None, started: dt.datetime, grace: float, samples: int
) -> TimeLimit | None:
    """Return the limit of a run that began at `started`; None without one. The earlier of two limits holds.

    Before the end there is time for requests in flight (`grace` seconds) and for the tables of so many samples, but
    at most a quarter of the whole time for each.
    """
    ends = []
    if until is not None:
        ends.append((next_time(until, after=started, timezone=timezone), f"--until {until}"))
    if max_time is not None:
        ends.append((started + dt.timedelta(seconds=parse_span(max_time)), f"--max-time {max_time}"))
    if not ends:
        return None
    end, option = min(ends, key=lambda item: item[0].timestamp())
    whole = end.timestamp() - started.timestamp()
    tables = min(_TABLES_S + samples / _SAMPLES_PER_S, _MAX_PART * whole)
    grace = min(grace, _MAX_PART * whole)
    return TimeLimit(end.timestamp() - tables - grace, grace, option, end)
