"""Enforces rate limits: a token bucket and a daily count for each model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

_PACIFIC = "America/Los_Angeles"


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The limit that was reached, and the seconds until it allows the next request."""

    window: Literal["Minute", "Day"]
    limit: int
    delay: float


@dataclass(slots=True)
class _Account:
    tokens: float
    filled_at: float
    day: str = ""
    today: int = 0


@dataclass(slots=True)
class Quota:
    """Limits of one project; None means no limit. `burst` requests are allowed at once (None: one minute's)."""

    per_minute: int | None = None
    burst: int | None = None
    per_day: int | None = None
    clock: Callable[[], float] = time.time  # seconds since the epoch
    _accounts: dict[str, _Account] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def acquire(self, model: str) -> Exceeded | None:
        """Count a request, or return the limit that it exceeds. A refused request is not counted."""
        with self._lock:
            now = self.clock()
            account = self._accounts.setdefault(model, _Account(self._capacity, now))
            exceeded = self._day_over(account, now) or self._minute_over(account, now)
            if exceeded is None:
                account.tokens -= 1
                account.today += 1
            return exceeded

    @property
    def _capacity(self) -> float:
        return float(self.burst or self.per_minute or 1)

    def _day_over(self, account: _Account, now: float) -> Exceeded | None:
        if self.per_day is None:
            return None
        local_time = datetime.fromtimestamp(now, ZoneInfo(_PACIFIC))
        if account.day != local_time.date().isoformat():
            account.day, account.today = local_time.date().isoformat(), 0
        if account.today < self.per_day:
            return None
        midnight = datetime.combine(local_time.date() + timedelta(days=1), datetime.min.time(), local_time.tzinfo)
        return Exceeded("Day", self.per_day, midnight.timestamp() - now)

    def _minute_over(self, account: _Account, now: float) -> Exceeded | None:
        if self.per_minute is None:
            return None
        rate = self.per_minute / 60
        account.tokens = min(self._capacity, account.tokens + max(0.0, now - account.filled_at) * rate)
        account.filled_at = now
        if account.tokens >= 1:
            return None
        return Exceeded("Minute", self.per_minute, round((1 - account.tokens) / rate, 9))
