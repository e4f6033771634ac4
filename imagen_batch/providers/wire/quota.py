"""Which limit does a 429 speak of: one that passes in seconds, one that ends the day, one that needs money?

The usual text, "You exceeded your current quota, please check your plan and billing details", comes with each
of them. So the named quotas decide first, words only where nothing is named. (api: 4.3)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from imagen_batch.errors import Fatal, RateLimited
from imagen_batch.providers.wire.service_error import ServiceError, Violation, describe

PACIFIC = ZoneInfo("America/Los_Angeles")  # daily quotas begin anew at midnight there (api: 6)

_LONGEST_MINUTE_S = 600.0  # who asks for a longer wait does not mean a quota per minute
_SPEND_WINDOW_S = 600.0
_SPEND_WAIT_S = 120.0  # the window slides: some of it is free again soon

# "metric: x/requests_per_day, limit: 70" and "metric 'Requests' and limit 'Requests per day'"
# Each of these takes a time that grows with the text and no faster, whatever the text is.
_QUOTED = re.compile(r"(?:metric|limit)(?:: | )('[^']*'|\S+)")
_ZERO = re.compile(r"\blimit: 0(?!\.?\d)")
_SPENDING = re.compile(r"\bspen[dt]")
_USAGE = re.compile(r"\busage\b")
_TEN_MINUTES = re.compile(r"\b(?:10|ten)[ -]min")


def read_quota_error(error: ServiceError, *, wait: float | None, now: datetime) -> RateLimited | Fatal:
    """The error to raise for a 429. `wait` is the service's hint in seconds."""
    if kind := _money_kind(error):
        return Fatal(describe(kind, error.words, status=429), kind=kind, outcome="billing", http_status=429)
    if _names(error, "perday"):
        return _day_over(error, resets_at=next_reset(now))
    if _is_spend_window(error):
        capped = _SPEND_WAIT_S if wait is None else min(wait, _SPEND_WINDOW_S)
        return _limited("quota_spend", error, wait=capped)
    if wait is not None and wait > _LONGEST_MINUTE_S:
        return _day_over(error, resets_at=now + timedelta(seconds=wait))
    return _limited(_minute_kind(error), error, wait=wait)


def next_reset(now: datetime) -> datetime:
    """The next midnight in California."""
    tomorrow = now.astimezone(PACIFIC).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), tzinfo=PACIFIC)


def _money_kind(error: ServiceError) -> str | None:
    """The kind of a limit that no waiting cures."""
    if "prepayment credits are depleted" in error.plain:
        return "prepay_empty"
    if _is_zero(error):
        return "free_tier_zero" if _names(error, "freetier") else "quota_zero"
    if "monthly spend" in error.plain:  # a guess: nobody recorded how the monthly caps of api: 6 are worded
        return "spend_cap"
    return None


def _is_zero(error: ServiceError) -> bool:
    # JSON made from proto leaves out a value of 0, the text has it.
    listed = any(violation.value == 0 for violation in error.violations)
    return listed or _ZERO.search(error.plain) is not None


def _names(error: ServiceError, word: str) -> bool:
    """Whether a quota of the details, or a metric that the message quotes, says `word` (folded)."""
    quoted = " ".join(_QUOTED.findall(error.plain)).replace("_", "").replace(" ", "")
    return word in quoted or any(violation.says(word) for violation in error.violations)


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


def _limited(kind: str, error: ServiceError, *, wait: float | None) -> RateLimited:
    message = describe(kind, error.words, status=429)
    rate = _rate(error.violations) if kind == "quota_minute" else None
    return RateLimited(message, kind=kind, retry_after=wait, per_minute=rate)


def _rate(violations: Sequence[Violation]) -> float | None:
    """The tightest limit of requests or images per minute. One of tokens says nothing about requests."""
    rates = [it.value for it in violations if it.value and it.says("perminute") and not it.says("token")]
    return min(rates, default=None)


def _day_over(error: ServiceError, *, resets_at: datetime) -> Fatal:
    again = f"{resets_at.astimezone(PACIFIC):%Y-%m-%d %H:%M} Pacific time"
    return Fatal(
        f"{describe('quota_day', error.words, status=429)} (begins anew {again})",
        kind="quota_day",
        outcome="quota_day",
        exit_code=75,
        http_status=429,
        resets_at=resets_at,
    )
