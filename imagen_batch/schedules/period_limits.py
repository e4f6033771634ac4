"""Reads limits of money in a rolling period, such as `30d=200`."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.schedules.until_and_max_time import parse_span

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class PeriodLimit:
    """At most `usd` in any `seconds` seconds, by all runs below a root. `text` is how it was written."""

    seconds: float
    usd: float
    text: str


def parse_period_limit(text: str) -> PeriodLimit:
    """Read PERIOD=USD. Raises ValueError."""
    span, equals, amount = text.strip().partition("=")
    try:
        usd = float(amount)
    except ValueError:
        usd = -1.0
    if not equals or not 0 <= usd < float("inf"):
        raise ValueError(f"{text!r}: expected a period and USD, such as 30d=200")
    seconds = parse_span(span)
    if seconds < HOUR_S:
        raise ValueError(f"{text!r}: the period is at least 1h")
    return PeriodLimit(seconds, usd, text.strip())


def check_period_limits(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the limits as they were written. Raises ValueError."""
    for text in texts:
        parse_period_limit(text)
    return texts
