"""Quotas are enforced, and refusals state the correct limit and wait."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from imagen_batch.simulator import Simulator
from imagen_batch.simulator.quota import Exceeded, Quota
from tests.support.http import GEMINI, IMAGEN, generate, predict

PACIFIC = ZoneInfo("America/Los_Angeles")


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_the_rate_holds() -> None:
    """Two pass at once, then one every ten seconds; the stated wait is enough."""
    clock = Clock()
    quota = Quota(per_minute=6, burst=2, clock=clock)
    assert [quota.acquire("m") for _ in range(3)] == [None, None, Exceeded("Minute", 6, 10.0)]
    clock.now += 4
    assert quota.acquire("m") == Exceeded("Minute", 6, 6.0)
    clock.now += 6
    assert quota.acquire("m") is None


def test_models_have_separate_quotas() -> None:
    """The limit is per model."""
    quota = Quota(per_minute=1, clock=Clock())
    assert quota.acquire("a") is quota.acquire("b") is None
    assert quota.acquire("a") is not None


def test_a_day_ends_at_midnight_in_california() -> None:
    """The day of the service ends there."""
    clock = Clock(datetime(2026, 7, 1, 22, tzinfo=PACIFIC).timestamp())
    quota = Quota(per_day=1, clock=clock)
    assert quota.acquire("m") is None
    assert quota.acquire("m") == Exceeded("Day", 1, 7200.0)
    clock.now += 7200
    assert quota.acquire("m") is None


@pytest.mark.parametrize(("send", "model"), [(predict, IMAGEN), (generate, GEMINI)])
def test_a_refusal_names_quota_limit_and_wait(send: object, model: str) -> None:
    """A client can pace itself by them."""
    clock = Clock()
    with Simulator(requests_per_minute=4, burst=1, clock=clock) as sim:
        assert callable(send)
        assert send(sim).status == 200
        error = send(sim).json["error"]
        assert sim.bill.total == 1
    violation = error["details"][0]["violations"][0]
    assert violation["quotaId"] == "GenerateRequestsPerMinutePerProjectPerModel"
    assert (violation["quotaValue"], violation["quotaDimensions"]["model"]) == ("4", model)
    assert "per_day" not in violation["quotaMetric"]
    assert error["details"][-1]["retryDelay"] == "15s"
    assert error["message"].endswith("Please retry in 15s.")


def test_a_daily_refusal_names_the_daily_quota() -> None:
    """The id of the quota is daily, and the wait is written in hours."""
    clock = Clock(datetime(2026, 7, 1, 5, 20, tzinfo=PACIFIC).timestamp())
    with Simulator(requests_per_day=1, clock=clock) as sim:
        generate(sim)
        error = generate(sim).json["error"]
    assert error["details"][0]["violations"][0]["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel"
    assert error["details"][-1]["retryDelay"] == "67200s"
    assert "Please retry in 18h40m0s" in error["message"]
