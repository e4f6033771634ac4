"""Formats the dates and times of cells as a spreadsheet displays them.

Names of months and days are English. The "short date" of the user's system is unknown here: it becomes 2026-11-26.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

_TOKEN = re.compile(
    r'"[^"]*"|\\.|_.|\*.|\[h+\]|\[m+\]|\[s+\]|\[[^\]]*\]|AM/PM|A/P|y+|m+|d+|h+|s+(?:[.,]0+)?|.',
    re.IGNORECASE | re.DOTALL,
)
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SYSTEM_FORMATS = {"mm-dd-yy", "general", ""}  # the first is what Excel stores for the system's short date


def date_text(value: date | time | timedelta, code: str) -> str:
    """Return a date, a time of day or a duration as the number format `code` displays it."""
    elapsed = value if isinstance(value, timedelta) else None
    moment = _moment(value)
    if elapsed is None and code.strip().lower() in _SYSTEM_FORMATS:
        return _iso(value)
    tokens = _TOKEN.findall(code.partition(";")[0])
    is_12_hour = any(token.upper() in ("AM/PM", "A/P") for token in tokens)
    return "".join(
        _token_text(token, moment, elapsed, is_12_hour=is_12_hour, is_minutes=_is_minutes(tokens, position))
        for position, token in enumerate(tokens)
    )


def hours_and_minutes(value: object) -> tuple[int, int] | None:
    """Return hours and minutes of a time of day or a duration without seconds; None for anything else."""
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(value.total_seconds()), 60)
        return divmod(minutes, 60) if not seconds and minutes > 0 else None
    if isinstance(value, time) and not value.second:
        return value.hour, value.minute
    return None


def _moment(value: date | time | timedelta) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - cells have no time zone
    if isinstance(value, time):
        return datetime.combine(date(1899, 12, 30), value)
    return datetime(1899, 12, 30) + value % timedelta(days=1)  # noqa: DTZ001


def _iso(value: date | time | timedelta) -> str:
    if isinstance(value, datetime):
        midnight = (value.hour, value.minute, value.second) == (0, 0, 0)
        return f"{value:%Y-%m-%d}" if midnight else f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def _is_minutes(tokens: list[str], at: int) -> bool:
    """Return whether an `m` means minutes: it follows hours or precedes seconds."""
    units = [(position, token.strip("[]")[0].lower()) for position, token in enumerate(tokens) if _is_unit(token)]
    before = [unit for position, unit in units if position < at]
    after = [unit for position, unit in units if position > at]
    return before[-1:] == ["h"] or after[:1] == ["s"]


def _is_unit(token: str) -> bool:
    return token.strip("[]")[:1].lower() in ("y", "m", "d", "h", "s") and token[0] not in '"\\'


def _token_text(
    token: str, moment: datetime, elapsed: timedelta | None, *, is_12_hour: bool, is_minutes: bool
) -> str:
    lower = token.lower()
    if token[0] == '"':
        return token[1:-1]
    if token[0] in "\\_*":
        return {"\\": token[1:], "_": " "}.get(token[0], "")
    if token[0] == "[":
        return _elapsed_text(lower, elapsed) if elapsed is not None and lower[1] in "hms" else ""
    if lower in ("am/pm", "a/p"):
        half = "AM" if moment.hour < 12 else "PM"
        return half if lower == "am/pm" else half[0]
    if lower[0] == "m" and is_minutes:
        return f"{moment.minute:0{min(len(lower), 2)}d}"
    return _date_part(lower, moment, is_12_hour=is_12_hour) if lower[0] in "ymdhs" else token


def _elapsed_text(unit: str, elapsed: timedelta) -> str:
    seconds = round(elapsed.total_seconds())
    count = seconds // {"h": 3600, "m": 60, "s": 1}[unit[1]]
    return f"{count:0{len(unit) - 2}d}"


def _date_part(unit: str, moment: datetime, *, is_12_hour: bool) -> str:
    width = min(len(unit), 2)
    if unit[0] == "y":
        return f"{moment.year:04d}" if len(unit) > 2 else f"{moment.year % 100:02d}"
    if unit[0] == "m":
        names = {3: _MONTHS[moment.month - 1][:3], 4: _MONTHS[moment.month - 1], 5: _MONTHS[moment.month - 1][0]}
        return names.get(len(unit), f"{moment.month:0{width}d}")
    if unit[0] == "d":
        day = _DAYS[moment.weekday()]
        return {3: day[:3], 4: day}.get(len(unit), f"{moment.day:0{width}d}")
    if unit[0] == "h":
        return f"{(moment.hour % 12 or 12) if is_12_hour else moment.hour:0{width}d}"
    return f"{moment.second:0{min(unit.count('s'), 2)}d}"
