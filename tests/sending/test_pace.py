"""The pace follows what the service says. A simulated day runs in a second."""

import heapq
import random

import pytest

from imagen_batch.sending.pace import Pace

REFUSED_S = 0.1  # a refusal comes quickly


class Bucket:
    """A service that admits `rate` attempts a second with a burst, and can change its mind."""

    def __init__(self, rate, burst, *, names_limit):
        self.rate, self.burst, self.names_limit = rate, burst, names_limit
        self._level, self._at = burst, 0.0

    def admits(self, now):
        """Take one from the bucket."""
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    @property
    def says(self):
        """What a refusal tells."""
        limit = self.rate * 60 if self.names_limit else None
        return {"retry_after": (1 - self._level) / self.rate, "per_minute": limit}


def drive(pace, bucket, *, requests, latency=0.2, change=None):
    """Play `requests` through `pace`; returns seconds taken and refusals."""
    now, left, refused, in_flight = 0.0, requests, 0, []
    while left or in_flight:
        wait = pace.wait(now)
        if left and wait <= 0:
            permit, left = pace.start(now), left - 1
            admitted = bucket.admits(now)
            heapq.heappush(in_flight, (now + (latency if admitted else REFUSED_S), permit.number, admitted, permit))
            continue
        ends = in_flight[0][0] if in_flight else float("inf")
        now = min(ends, now + wait) if left else ends
        while in_flight and in_flight[0][0] <= now:
            _, _, admitted, permit = heapq.heappop(in_flight)
            if admitted:
                pace.succeeded(permit, now)
            else:
                refused, left = refused + 1, left + 1
                pace.limited(permit, now, **bucket.says)
        if change and left < requests / 2:
            change()
            change = None
    return now, refused


def test_a_given_rate_is_kept_without_a_refusal():
    """2,000 requests at 20 a second use 98 % of what the service allows."""
    seconds, refused = drive(Pace(per_minute=1200, in_flight=64), Bucket(20, 20, names_limit=True), requests=2000)
    assert refused == 0
    assert (2000 - 20) / 20 / seconds >= 0.98


@pytest.mark.parametrize("names_limit", [True, False])
def test_an_unknown_rate_is_found(names_limit):
    """Few refusals, and at least 95 % of the quota used."""
    bucket = Bucket(20, 20, names_limit=names_limit)
    seconds, refused = drive(Pace(per_minute=None, in_flight=64), bucket, requests=2000)
    assert refused <= 0.02 * (2000 + refused)
    assert (2000 - 20) / 20 / seconds >= 0.95


@pytest.mark.parametrize("names_limit", [True, False])
def test_a_limit_that_halves_midway_is_followed(names_limit):
    """The second half goes at the new pace."""
    bucket = Bucket(20, 20, names_limit=names_limit)

    def halve():
        bucket.rate = 10

    seconds, refused = drive(Pace(per_minute=None, in_flight=64), bucket, requests=2000, change=halve)
    assert refused <= 0.02 * (2000 + refused)
    assert (980 / 20 + 1000 / 10) / seconds >= 0.95


def test_images_per_minute_count_where_a_request_makes_several():
    """Four pictures a call at sixty pictures a minute are a call every four seconds."""
    pace = Pace(per_minute=None, in_flight=8, images_per_minute=60)
    starts, now = [], 0.0
    for _ in range(4):
        now += max(0.0, pace.wait(now))
        permit = pace.start(now, images=4)
        starts.append(now)
        pace.succeeded(permit, now)
    assert starts[1:] == pytest.approx([starts[1] + 4 * step for step in range(3)])
    assert starts[-1] >= 4 * 2


@pytest.mark.parametrize(("rate", "burst"), [(2, 2), (20, 60), (1, 10)])
def test_small_and_large_bursts_are_found_too(rate, burst):
    """Few refusals, whatever was saved up."""
    bucket = Bucket(rate, burst, names_limit=False)
    seconds, refused = drive(Pace(per_minute=None, in_flight=64), bucket, requests=600)
    assert refused <= 0.06 * (600 + refused)
    assert (600 - burst) / rate / seconds >= 0.9


@pytest.mark.parametrize("given", [1200, None])
def test_refusals_that_come_at_any_rate_do_not_wear_the_pace_down(given):
    """A quota that others use, too, refuses one of a thousand, whatever the pace: more than half of it is used."""

    class Moody(Bucket):
        """Refuses one now and then, and names no limit."""

        def admits(self, now):
            return super().admits(now) and moods.random() > 0.001

        @property
        def says(self):
            return {"retry_after": 1.0, "per_minute": None}

    moods = random.Random(1)
    seconds, _ = drive(Pace(per_minute=given, in_flight=64), Moody(20, 20, names_limit=False), requests=40_000)
    assert 40_000 / 20 / seconds >= 0.55


def test_a_refusal_before_anything_was_let_in_sets_no_rate():
    """There is nothing to measure: a pause, fewer at once, and on."""
    pace = Pace(per_minute=None, in_flight=64)
    pace.limited(pace.start(0.0), 0.1, retry_after=None, per_minute=None)
    assert pace.per_minute is None
    assert 0 < pace.wait(0.1) <= 1


def test_refusals_of_one_burst_count_once():
    """Attempts that were under way when the first refusal came are no new evidence."""
    pace = Pace(per_minute=6000, in_flight=10)
    permits = [pace.start(0.0) for _ in range(10)]
    for permit in permits:
        pace.limited(permit, 1.0, retry_after=None, per_minute=None)
    assert pace.per_minute == pytest.approx(6000 * 0.75)


def test_a_refusal_holds_everyone():
    """Nobody starts before the service's own hint is over."""
    pace = Pace(per_minute=None, in_flight=10)
    pace.limited(pace.start(0.0), 1.0, retry_after=34.0, per_minute=None)
    assert pace.wait(1.0) == pytest.approx(34.0)


def test_the_first_attempts_are_few():
    """No rate is assumed: a few replies come before many attempts."""
    pace = Pace(per_minute=None, in_flight=64)
    started = 0
    while pace.wait(0.0) <= 0:
        pace.start(0.0)
        started += 1
    assert started == 4


def test_an_outage_is_probed_one_by_one():
    """After many failures without a success one attempt at a time goes out, after a pause."""
    pace = Pace(per_minute=None, in_flight=64)
    for _ in range(20):
        pace.start(0.0)
        pace.failed(1.0)
    assert pace.outage
    wait = pace.wait(1.0)
    assert 0 < wait <= 60
    probe = pace.start(1.0 + wait)
    assert pace.wait(1.0 + wait) == float("inf")
    pace.succeeded(probe, 100.0)
    assert not pace.outage
    assert pace.failing_for(100.0) == 0
