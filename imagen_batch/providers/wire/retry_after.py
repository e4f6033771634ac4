"""Reads how long the service asks to wait. (api: 4.3)"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from imagen_batch.providers.wire.service_error import ServiceError

_MAX_S = 7 * 24 * 3600.0
_MAX_DIGITS = 400  # more than the largest float has
_UNIT_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_IN_MESSAGE = re.compile(r"retry in ((?:\d+(?:\.\d+)?(?:h|ms|m|s))+)", re.IGNORECASE | re.ASCII)


def wait_hint(headers: Mapping[str, str], error: ServiceError, *, now: datetime) -> float | None:
    """Return seconds to wait from the header (a proxy's), RetryInfo or the message; None if there is no hint."""
    header = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    hints = (
        _header_seconds(header.strip(), now),
        _duration_seconds(error.retry_delay),
        _seconds_in_message(error.message),
    )
    return next((min(hint, _MAX_S) for hint in hints if hint is not None), None)


def _header_seconds(value: str, now: datetime) -> float | None:
    if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII):
        return float(value[:_MAX_DIGITS])
    try:
        time = parsedate_to_datetime(value)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return max((time - now).total_seconds(), 0.0)
    except (ValueError, TypeError, IndexError, OverflowError):  # depending on the defect
        return None


def _duration_seconds(value: str) -> float | None:
    """Parse a proto Duration: "34s", "45.837906927s"."""
    return float(value[:-1][:_MAX_DIGITS]) if re.fullmatch(r"\d+(\.\d+)?s", value, re.ASCII) else None


def _seconds_in_message(message: str) -> float | None:
    """Find "Please retry in 34.07s", also "18h40m2.33s" and "881.83ms"."""
    match = _IN_MESSAGE.search(message)
    if match is None:
        return None
    parts = re.findall(r"([\d.]+)(h|ms|m|s)", match[1].lower())
    return sum(float(number[:_MAX_DIGITS]) * _UNIT_S[unit] for number, unit in parts)
