"""Decides which limit a 429 is about: one per minute, one per day, or one that only money lifts.

The usual message, "You exceeded your current quota, please check your plan and billing details", comes with each of
them. So the quotas that the details name decide first, and the message only if none is named. (api: 4.3)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from imagen_batch.errors import Fatal, RateLimited
from imagen_batch.providers.wire.service_error import ServiceError, Violation, describe

PACIFIC = ZoneInfo("America/Los_Angeles")  # where daily quotas reset at midnight (api: 6)

_MAX_MINUTE_WAIT_S = 600.0  # a longer wait is not about a quota per minute
_SPEND_WINDOW_S = 600.0
_SPEND_WAIT_S = 120.0  # the window slides, so part of it is free again soon

# "metric: x/requests_per_day, limit: 70" and "metric 'Requests' and limit 'Requests per day'"
# Each of these patterns takes time linear in the length of the text.
_QUOTED = re.compile(r"(?:metric|limit)(?:: | )('[^']*'|\S+)")
_ZERO = re.compile(r"\blimit: 0(?!\.?\d)")
_SPENDING = re.compile(r"\bspen[dt]")
_USAGE = re.compile(r"\busage\b")
_TEN_MINUTES = re.compile(r"\b(?:10|ten)[ -]min")


def read_quota_error(error: ServiceError, *, wait: float | None, now: datetime) -> RateLimited | Fatal:
    """Return the error to raise for a 429. `wait` is the service's hint in seconds."""
    if kind := _money_kind(error):
        return Fatal(describe(kind, error.words, status=429), kind=kind, cause="billing", http_status=429)
    if _names(error, "perday"):
        return _daily_quota_error(error, resets_at=next_reset(now))
    if _is_spend_window(error):
        capped = _SPEND_WAIT_S if wait is None else min(wait, _SPEND_WINDOW_S)
        return _rate_limit_error("quota_spend", error, wait=capped)
    if wait is not None and wait > _MAX_MINUTE_WAIT_S:
        return _daily_quota_error(error, resets_at=now + timedelta(seconds=wait))
    return _rate_limit_error(_minute_kind(error), error, wait=wait)


def next_reset(now: datetime) -> datetime:
    """Return the next midnight in California."""
    tomorrow = now.astimezone(PACIFIC).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), tzinfo=PACIFIC)


def _money_kind(error: ServiceError) -> str | None:
    """Return the kind of a limit that no waiting lifts; None for other limits."""
    if "prepayment credits are depleted" in error.plain:
        return "prepay_empty"
    if _is_zero(error):
        return "free_tier_zero" if _names(error, "freetier") else "quota_zero"
    if "monthly spend" in error.plain:  # a guess: no message about the monthly cap was recorded (api: 6)
        return "spend_cap"
    return None


def _is_zero(error: ServiceError) -> bool:
    # JSON made from proto leaves out a value of 0, but the message contains it.
    listed = any(violation.value == 0 for violation in error.violations)
    return listed or _ZERO.search(error.plain) is not None


def _names(error: ServiceError, word: str) -> bool:
    """Return whether a quota in the details, or a metric quoted in the message, contains `word` (folded)."""
    quoted = " ".join(_QUOTED.findall(error.plain)).replace("_", "").replace(" ", "")
    return word in quoted or any(violation.mentions(word) for violation in error.violations)


def _is_spend_window(error: ServiceError) -> bool:
    if _names(error, "perminute"):
        return False
    if _SPENDING.search(error.plain):
        return True
    usage = _USAGE.search(error.plain)
    return usage is not None and _TEN_MINUTES.search(error.plain, usage.end()) is not None


def _minute_kind(error: ServiceError) -> str:
    named = error.violations or _names(error, "perminute")
    if named or "metric:" in error.plain or "per minute" in error.plain:
        return "quota_minute"
    return "quota_shared" if error.plain.startswith("resource exhausted") else "quota_bare"


def _rate_limit_error(kind: str, error: ServiceError, *, wait: float | None) -> RateLimited:
    message = describe(kind, error.words, status=429)
    rate = _rate(error.violations) if kind == "quota_minute" else None
    return RateLimited(message, kind=kind, retry_after=wait, per_minute=rate)


def _rate(violations: Sequence[Violation]) -> float | None:
    """Return the lowest limit of requests or images per minute. Limits of tokens say nothing about requests."""
    rates = [
        violation.value
        for violation in violations
        if violation.value and violation.mentions("perminute") and not violation.mentions("token")
    ]
    return min(rates, default=None)


def _daily_quota_error(error: ServiceError, *, resets_at: datetime) -> Fatal:
    reset = f"{resets_at.astimezone(PACIFIC):%Y-%m-%d %H:%M} Pacific time"
    return Fatal(
        f"{describe('quota_day', error.words, status=429)} (resets at {reset})",
        kind="quota_day",
        cause="quota_day",
        exit_code=75,
        http_status=429,
        resets_at=resets_at,
    )
