"""The pace follows the service's replies. A simulated day runs in a second."""

import heapq
import random
from itertools import pairwise
from statistics import mean

import pytest

from imagen_batch.sending.pacing.earlier_pace import EarlierPace
from imagen_batch.sending.pacing.pace import Pace, Permit

REFUSED_S = 0.1  # latency of a refusal


class Bucket:
    """A service that admits `rate` attempts per second after a burst. The rate can be changed."""

    def __init__(self, rate, burst, *, names_limit):
        self.rate, self.burst, self.names_limit = rate, burst, names_limit
        self._level, self._at = burst, 0.0

    def admits(self, now):
        """Return whether an attempt is admitted, and take it from the bucket."""
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    @property
    def hints(self):
        """The hints in a refusal."""
        limit = self.rate * 60 if self.names_limit else None
        return {"retry_after": (1 - self._level) / self.rate, "per_minute": limit}


def drive(pace, bucket, *, requests, latency=0.2, change=None):
    """Simulate `requests` with `pace`. Returns the seconds taken and the number of refusals."""
    now, remaining, refused, in_flight = 0.0, requests, 0, []
    while remaining or in_flight:
        wait = pace.wait(now)
        if remaining and wait <= 0:
            permit, remaining = pace.start(now), remaining - 1
            admitted = bucket.admits(now)
            heapq.heappush(in_flight, (now + (latency if admitted else REFUSED_S), permit.number, admitted, permit))
            continue
        ends = in_flight[0][0] if in_flight else float("inf")
        now = min(ends, now + wait) if remaining else ends
        while in_flight and in_flight[0][0] <= now:
            _, _, admitted, permit = heapq.heappop(in_flight)
            if admitted:
                pace.record_success(permit, now)
            else:
                refused, remaining = refused + 1, remaining + 1
                pace.record_limit(permit, now, **bucket.hints)
        if change and remaining < requests / 2:
            change()
            change = None
    return now, refused


def test_a_given_rate_is_kept_without_a_refusal():
    """2,000 requests at 20 per second use 98 % of what the service allows."""
    seconds, refused = drive(Pace(per_minute=1200, in_flight=64), Bucket(20, 20, names_limit=True), requests=2000)
    assert refused == 0
    assert (2000 - 20) / 20 / seconds >= 0.98


@pytest.mark.parametrize("names_limit", [True, False])
def test_an_unknown_rate_is_found(names_limit):
    """There are few refusals, and at least 95 % of the quota is used."""
    bucket = Bucket(20, 20, names_limit=names_limit)
    seconds, refused = drive(Pace(per_minute=None, in_flight=64), bucket, requests=2000)
    assert refused <= 0.02 * (2000 + refused)
    assert (2000 - 20) / 20 / seconds >= 0.95


@pytest.mark.parametrize("names_limit", [True, False])
def test_a_limit_that_halves_midway_is_followed(names_limit):
    """The second half runs at the new rate."""
    bucket = Bucket(20, 20, names_limit=names_limit)

    def halve():
        bucket.rate = 10

    seconds, refused = drive(Pace(per_minute=None, in_flight=64), bucket, requests=2000, change=halve)
    assert refused <= 0.02 * (2000 + refused)
    assert (980 / 20 + 1000 / 10) / seconds >= 0.95


def test_images_per_minute_count_where_a_request_makes_several():
    """Four images per request at sixty images per minute allow one request every four seconds."""
    pace = Pace(per_minute=None, in_flight=8, images_per_minute=60)
    starts, now = [], 0.0
    for _ in range(4):
        now += max(0.0, pace.wait(now))
        permit = pace.start(now, images=4)
        starts.append(now)
        pace.record_success(permit, now)
    assert starts[1:] == pytest.approx([starts[1] + 4 * step for step in range(3)])
    assert starts[-1] >= 4 * 2


@pytest.mark.parametrize(("rate", "burst"), [(2, 2), (20, 60), (1, 10)])
def test_small_and_large_bursts_are_found_too(rate, burst):
    """There are few refusals, however large the burst."""
    bucket = Bucket(rate, burst, names_limit=False)
    seconds, refused = drive(Pace(per_minute=None, in_flight=64), bucket, requests=600)
    assert refused <= 0.06 * (600 + refused)
    assert (600 - burst) / rate / seconds >= 0.9


@pytest.mark.parametrize("given", [1200, None])
def test_refusals_that_do_not_depend_on_the_rate_do_not_reduce_it_forever(given):
    """A shared quota refuses one attempt in a thousand at any rate; more than half of it is used."""

    class Shared(Bucket):
        """Refuses an attempt now and then, and names no limit."""

        def admits(self, now):
            return super().admits(now) and dice.random() > 0.001

        @property
        def hints(self):
            return {"retry_after": 1.0, "per_minute": None}

    dice = random.Random(1)
    seconds, _ = drive(Pace(per_minute=given, in_flight=64), Shared(20, 20, names_limit=False), requests=40_000)
    assert 40_000 / 20 / seconds >= 0.55


def test_a_refusal_of_the_first_attempt_sets_no_rate():
    """No rate can be measured: there is a pause, and fewer attempts at once."""
    pace = Pace(per_minute=None, in_flight=64)
    pace.record_limit(pace.start(0.0), 0.1, retry_after=None, per_minute=None)
    assert pace.per_minute is None
    assert 0 < pace.wait(0.1) <= 1


def test_refusals_of_one_burst_count_once():
    """Attempts that were in flight when the first refusal came are no new evidence."""
    pace = Pace(per_minute=6000, in_flight=10)
    permits = [pace.start(0.0) for _ in range(10)]
    for permit in permits:
        pace.record_limit(permit, 1.0, retry_after=None, per_minute=None)
    assert pace.per_minute == pytest.approx(6000 * 0.75)


def test_a_refusal_delays_all_attempts():
    """No attempt starts before the end of the pause that the service requested."""
    pace = Pace(per_minute=None, in_flight=10)
    pace.record_limit(pace.start(0.0), 1.0, retry_after=34.0, per_minute=None)
    assert pace.wait(1.0) == pytest.approx(34.0)


def test_the_first_attempts_are_few():
    """No rate is assumed: there are replies before there are many attempts."""
    pace = Pace(per_minute=None, in_flight=64)
    started = 0
    while pace.wait(0.0) <= 0:
        pace.start(0.0)
        started += 1
    assert started == 4


def test_an_outage_is_probed_one_by_one():
    """After many failures without a success, one attempt at a time starts, after a pause."""
    pace = Pace(per_minute=None, in_flight=64)
    for _ in range(20):
        pace.start(0.0)
        pace.record_failure(1.0)
    assert pace.outage
    wait = pace.wait(1.0)
    assert 0 < wait <= 60
    probe = pace.start(1.0 + wait)
    assert pace.wait(1.0 + wait) == float("inf")
    pace.record_success(probe, 100.0)
    assert not pace.outage
    assert pace.failing_for(100.0) == 0


def test_images_per_minute_alone_are_divided_by_share():
    """Without a rate in requests, only this limit is divided."""
    pace = Pace(per_minute=None, in_flight=8, images_per_minute=60)
    for now, share, seconds in ((1e6, 0.5, 4.0), (2e6, 0.25, 8.0), (3e6, 1.0, 2.0)):
        pace.resize(share)
        assert pace.per_minute is None
        before = 0.0
        for _ in range(4):
            before = pace.wait(now)
            pace.start(now, images=2)
            pace.record_cancellation()
        assert pace.wait(now) - before == pytest.approx(seconds)


def _answered(pace, *, started, now):
    """Start an attempt and answer it."""
    pace.start(started)
    pace.record_success(Permit(0, started, 1), now)


def test_all_slots_fill_within_little_more_than_the_time_of_the_first_reply():
    """Starts are spread evenly, so that few attempts start before the first refusal arrives."""
    pace = Pace(per_minute=None, in_flight=64)
    _answered(pace, started=0.0, now=8.0)
    now, starts = 8.0, []
    while pace.wait(now) < float("inf"):
        now += max(0.0, pace.wait(now))
        pace.start(now)
        starts.append(now - 8.0)
    assert len(starts) == 64
    assert starts[31] == pytest.approx(8.0 * 1.33 / 2, rel=0.35)
    assert 5.0 < starts[-1] < 8.0 * 1.33
    assert max(after - before for before, after in pairwise(starts)) < 0.2


def test_starts_are_spread_even_after_a_very_fast_first_reply():
    """There are at most 240 a second at first, and twice as many each second."""
    pace = Pace(per_minute=None, in_flight=64)
    _answered(pace, started=0.0, now=0.001)
    pace.start(0.001)
    assert pace.wait(0.001) == pytest.approx(1 / 240)


def test_a_window_that_was_halved_grows_with_the_replies():
    """It grows by three for each reply up to sixteen; then by one for a slow reply and a half for a fast one."""
    pace = Pace(per_minute=None, in_flight=64)
    _answered(pace, started=0.0, now=0.2)
    pace._window, windows = 4.0, []
    for latency in (0.2, 0.2, 0.2, 0.2, 0.2, 1.0):
        _answered(pace, started=9.0, now=9.0 + latency)
        windows.append(pace._window)
    assert windows == [7.0, 10.0, 13.0, 16.0, 16.5, 17.5]


@pytest.mark.parametrize(("rate", "burst", "requests", "max_refused"), [(20, 20, 2000, 0.02), (20, 60, 600, 0.06)])
@pytest.mark.parametrize("latency", [0.2, 5.0])
def test_a_start_without_knowledge_costs_few_refusals(rate, burst, requests, max_refused, latency):
    """The bucket has 20 a second, named or not, with a small and with a saved-up burst."""
    for names_limit in (True, False):
        bucket = Bucket(rate, burst, names_limit=names_limit)
        _, refused = drive(Pace(per_minute=None, in_flight=64), bucket, requests=requests, latency=latency)
        assert refused <= max_refused * (requests + refused)


class Unlimited:
    """A service that admits everything."""

    def admits(self, now):
        """Return whether to admit an attempt: always."""
        return now >= 0


@pytest.mark.parametrize(("earlier", "min_use"), [(None, 0.93), (EarlierPace(None, 64, 0.0), 0.97)])
def test_latency_is_hidden_without_a_rate(earlier, min_use):
    """2,000 requests of 200 ms, 64 at once; 0.977 is the most that whole rounds of 64 allow."""
    pace = Pace(per_minute=None, in_flight=64)
    if earlier:
        pace.start_from(earlier)
    seconds, _ = drive(pace, Unlimited(), requests=2000)
    assert 2000 / 64 * 0.2 / seconds >= min_use


def test_a_rate_that_held_is_regained_quickly_after_single_refusals():
    """A shared quota refuses one attempt in a thousand at random; at least 75 % is used (it was 69 %)."""

    class Shared(Bucket):
        @property
        def hints(self):
            return {"retry_after": 1.0, "per_minute": None}

        def admits(self, now):
            return super().admits(now) and dice.random() > 0.001

    used = []
    for seed in (1, 2, 3):
        for given in (1200, None):
            dice = random.Random(seed)
            pace = Pace(per_minute=given, in_flight=64)
            seconds, _ = drive(pace, Shared(20, 20, names_limit=False), requests=20_000)
            used.append(20_000 / 20 / seconds)
    assert mean(used) >= 0.75


def test_failures_are_timed_from_the_first_one():
    """A success ends them."""
    pace = Pace(per_minute=None, in_flight=8)
    assert pace.failing_for(5.0) == 0.0
    for now in (10.0, 20.0):
        pace.start(now)
        pace.record_failure(now)
    assert pace.failing_for(25.0) == 15.0
    permit = pace.start(30.0)
    pace.record_success(permit, 30.0)
    assert pace.failing_for(35.0) == 0.0


def test_a_slowed_pace_creeps_up_once_a_second_and_not_beyond_the_given_rate():
    """It grows by five percent until a second refusal has confirmed the limit."""
    pace = Pace(per_minute=600, in_flight=8)
    pace.record_limit(pace.start(0.0), 0.0, retry_after=0.0, per_minute=None)
    assert pace.per_minute == pytest.approx(450)
    for now, expected in ((0.5, 450), (1.0, 472.5), (1.5, 472.5), (2.0, 496.125), (3.0, 520.93), (9.0, 546.98)):
        pace.record_success(pace.start(now), now)
        assert pace.per_minute == pytest.approx(expected, rel=1e-4)
    for now in range(20, 40):
        pace.record_success(pace.start(float(now)), float(now))
    assert pace.per_minute == pytest.approx(600)


def test_pauses_between_refusals_double_up_to_a_minute():
    """The service gives no hint."""
    pace, now, pauses = Pace(per_minute=None, in_flight=8), 0.0, []
    for _ in range(8):
        pace.record_limit(pace.start(now), now, retry_after=None, per_minute=None)
        pauses.append(pace.wait(now))
        now += 1000.0
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
