"""The effect of one refusal, one outage and a changed share on the pace, in numbers."""

import math
from copy import deepcopy

import pytest

from imagen_batch.sending.pacing.pace import Pace


def _in_flight(pace, now):
    """Count the attempts that may be in flight at once, by starting them in a copy."""
    copy, started = deepcopy(pace), 0
    while (wait := copy.wait(now)) < math.inf:
        now += max(wait, 0.0)
        copy.start(now)
        started += 1
    return started


def _warmed_up(pace, replies, now=0.0):
    """Return the pace after some slow replies."""
    for _ in range(replies):
        permit = pace.start(now)
        pace.record_success(permit, now)
    return pace


def test_a_refusal_without_a_measurable_rate_halves_the_attempts_in_flight():
    """The minimum is one."""
    pace, now, windows = Pace(per_minute=None, in_flight=64), 0.0, []
    for _ in range(4):
        pace.record_limit(pace.start(now), now, retry_after=None, per_minute=None)
        now += 1000.0
        windows.append(_in_flight(pace, now))
    assert windows == [2, 1, 1, 1]


def test_the_first_measured_rate_is_halved():
    """Six attempts in three seconds are two per second; a burst may have been saved up before."""
    pace = Pace(per_minute=None, in_flight=64)
    for second in range(6):
        pace.record_success(pace.start(second / 2), second / 2)
    pace.record_limit(pace.start(3.0), 3.1, retry_after=0.0, per_minute=None)
    assert pace.per_minute == pytest.approx(6 / 3 * 60 * 0.5)


def test_a_rate_measured_between_two_refusals_is_used_with_a_margin():
    """Ten attempts were admitted in twenty seconds: one every two seconds is the quota."""
    pace = Pace(per_minute=6000, in_flight=64)
    pace.record_limit(pace.start(100.0), 100.0, retry_after=0.0, per_minute=None)
    for step in range(10):
        pace.record_success(pace.start(101.0 + step), 101.0 + step)
    pace.record_limit(pace.start(120.0), 120.0, retry_after=0.0, per_minute=None)
    assert pace.per_minute == pytest.approx(10 / 20 * 60 * 0.98)


def test_fewer_than_ten_admitted_attempts_measure_nothing():
    """The rate is reduced by a quarter instead."""
    pace = Pace(per_minute=600, in_flight=64)
    pace.record_limit(pace.start(100.0), 100.0, retry_after=0.0, per_minute=None)
    assert pace.per_minute == pytest.approx(450)
    for _ in range(9):
        pace.record_success(pace.start(100.5), 100.5)
    pace.record_limit(pace.start(100.9), 100.9, retry_after=0.0, per_minute=None)
    assert pace.per_minute == pytest.approx(450 * 0.75)


def test_a_limit_that_the_service_names_is_used_only_if_it_is_lower():
    """A higher one is that of another model, or of the whole project."""
    pace = Pace(per_minute=600, in_flight=64)
    pace.record_limit(pace.start(0.0), 0.0, retry_after=0.0, per_minute=300)
    assert pace.per_minute == pytest.approx(300)
    pace.record_limit(pace.start(1.0), 1.0, retry_after=0.0, per_minute=3000)
    assert pace.per_minute == pytest.approx(300 * 0.25)  # only one attempt a second was sent
    pace.record_limit(pace.start(2.0), 2.0, retry_after=0.0, per_minute=0)
    assert pace.per_minute == pytest.approx(300 * 0.25 * 0.75)
    unknown = Pace(per_minute=None, in_flight=64)
    unknown.record_limit(unknown.start(0.0), 0.0, retry_after=0.0, per_minute=300)
    assert unknown.per_minute == pytest.approx(300)


def test_a_named_limit_is_that_of_all_processes():
    """A process with a quarter of the account takes a quarter of it."""
    pace = Pace(per_minute=None, in_flight=64)
    pace.resize(0.25)
    pace.record_limit(pace.start(0.0), 0.0, retry_after=0.0, per_minute=240)
    assert pace.per_minute == pytest.approx(60)


def test_one_start_a_minute_is_the_slowest_pace():
    """Further refusals do not reduce it."""
    pace, now = Pace(per_minute=2, in_flight=4), 0.0
    for _ in range(6):
        pace.record_limit(pace.start(now), now, retry_after=0.0, per_minute=None)
        now += 0.5
    assert pace.per_minute == pytest.approx(1.0)


def test_a_pause_that_the_service_asks_for_is_kept_and_never_shortened():
    """A later refusal with a shorter pause does not end it sooner."""
    pace = Pace(per_minute=None, in_flight=64)
    first, second = pace.start(0.0), pace.start(0.0)
    pace.record_limit(first, 0.0, retry_after=34.0, per_minute=None)
    pace.record_limit(second, 1.0, retry_after=2.0, per_minute=None)
    assert pace.wait(1.0) == pytest.approx(33.0)


def test_an_outage_is_ten_failures_in_a_row_and_its_pauses_double():
    """They last one, two, four seconds, at most sixty; the probe's success opens four attempts at once."""
    pace, now, pauses = Pace(per_minute=None, in_flight=64), 0.0, []
    _warmed_up(pace, 10)
    for _ in range(9):
        pace.start(now)
        pace.record_failure(now)
    assert not pace.outage
    assert pace.wait(now) < 0.1  # the next slot of the opening
    for _ in range(8):
        pace.start(now)
        pace.record_failure(now)
        assert pace.outage
        pauses.append(pace.wait(now))
        now += pauses[-1]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    probe = pace.start(now)
    assert pace.wait(now) == math.inf
    pace.record_success(probe, now + 2.0)
    assert _in_flight(pace, now + 2.0) == 7  # the four of a new start, and three for the reply


def test_a_refusal_after_an_outage_begins_with_a_short_pause():
    """A success ends the doubling."""
    pace = Pace(per_minute=None, in_flight=64)
    for now in (0.0, 1000.0, 2000.0):
        pace.record_limit(pace.start(now), now, retry_after=None, per_minute=None)
    pace.record_success(pace.start(3000.0), 3000.0)
    pace.record_limit(pace.start(4000.0), 4000.0, retry_after=None, per_minute=None)
    assert pace.wait(4000.0) == pytest.approx(1.0)


def test_a_canceled_attempt_gives_its_slot_back():
    """It changes nothing else."""
    pace = Pace(per_minute=None, in_flight=1)
    pace.start(0.0)
    assert pace.wait(0.0) == math.inf
    pace.record_cancellation()
    assert pace.wait(0.0) <= 0
    assert pace.failing_for(9.0) == 0.0


def test_a_late_start_catches_up_two_intervals_and_no_more():
    """At one per second, three may start at once after a pause of ten seconds."""
    pace, started = Pace(per_minute=60, in_flight=64), 0
    pace.start(0.0)
    while pace.wait(10.0) <= 0:
        pace.start(10.0)
        started += 1
    assert started == 3
    assert pace.wait(10.0) == pytest.approx(1.0)


def test_a_share_scales_the_attempts_in_flight_and_the_rate():
    """A quarter of both is used, at least one attempt, and all of it again later."""
    pace = _warmed_up(Pace(per_minute=None, in_flight=16), 10)
    assert _in_flight(pace, 100.0) == 16
    pace.resize(0.25)
    assert _in_flight(pace, 200.0) == 4
    pace.resize(0.01)
    assert _in_flight(pace, 300.0) == 1
    pace.resize(0.5)
    _warmed_up(pace, 10, now=400.0)
    assert _in_flight(pace, 500.0) == 8
    with_rate = Pace(per_minute=600, in_flight=16)
    with_rate.resize(0.5)
    assert with_rate.per_minute == pytest.approx(300)
    with_rate.resize(1.0)
    assert with_rate.per_minute == pytest.approx(600)


def test_a_share_of_a_third_of_thirty_attempts_is_ten():
    """A rounding error must not cost one."""
    pace = _warmed_up(Pace(per_minute=None, in_flight=30), 60)
    for share, expected in ((1 / 3, 10), (0.1, 3), (0.7, 21)):
        pace.resize(share)
        _warmed_up(pace, 60, now=100.0)
        assert _in_flight(pace, 200.0) == expected


def test_a_confirmed_pace_creeps_slowly_and_faster_after_a_long_quiet_time():
    """It grows by a twentieth of a percent a second, and twice that after ninety starts or thirty quiet seconds."""
    pace = Pace(per_minute=6000, in_flight=64)
    pace.record_limit(pace.start(0.0), 0.0, retry_after=0.0, per_minute=600)
    rate = 600.0
    assert pace.per_minute == pytest.approx(rate)
    pace.record_success(pace.start(1.0), 1.0)
    rate *= 1 + 0.0005 * (1 + (1 / 30) ** 2)
    assert pace.per_minute == pytest.approx(rate, rel=1e-7)
    pace.record_success(pace.start(30.0), 30.0)
    rate *= 1 + 0.0005 * 2
    assert pace.per_minute == pytest.approx(rate, rel=1e-6)
    pace.record_success(pace.start(1000.0), 1000.0)
    assert pace.per_minute == pytest.approx(rate * 1.05, rel=1e-6)


def test_a_slow_confirmed_pace_counts_starts_instead_of_seconds():
    """At one start every ten seconds, ninety of them take a quarter of an hour."""
    pace = Pace(per_minute=60, in_flight=64)
    pace.record_limit(pace.start(0.0), 0.0, retry_after=0.0, per_minute=6)
    pace.record_success(pace.start(900.0), 900.0)
    assert pace.per_minute == pytest.approx(6 * 1.001, rel=1e-5)


def test_a_tiny_share_keeps_one_attempt_in_flight():
    """Replies do not add to it; a share of a tenth begins with one as well, and grows to six."""
    pace = Pace(per_minute=None, in_flight=16)
    pace.resize(0.01)
    _warmed_up(pace, 5)
    assert _in_flight(pace, 100.0) == 1
    tenth = Pace(per_minute=None, in_flight=64)
    tenth.resize(0.1)
    assert _in_flight(tenth, 0.0) == 1
    _warmed_up(tenth, 5)
    assert _in_flight(tenth, 100.0) == 6


def test_nine_failures_of_a_new_pace_are_no_outage_and_ten_are():
    """There were no failures before the run."""
    pace = Pace(per_minute=None, in_flight=64)
    for count in range(1, 11):
        pace.start(0.0)
        pace.record_failure(0.0)
        assert pace.outage is (count == 10)


def test_one_admitted_attempt_is_enough_for_a_first_rate():
    """The rate is one in ten seconds, halved."""
    pace = Pace(per_minute=None, in_flight=64)
    pace.record_success(pace.start(0.0), 0.0)
    pace.record_limit(pace.start(10.0), 10.0, retry_after=0.0, per_minute=None)
    assert pace.per_minute == pytest.approx(3)


def test_a_changed_share_scales_the_rate_that_is_returned_to():
    """588 starts a minute held before a refusal that measured half of that; half of the account had 294."""
    pace = Pace(per_minute=6000, in_flight=64)
    pace.record_limit(pace.start(0.0), 0.0, retry_after=0.0, per_minute=600)
    for step in range(50):
        pace.record_success(pace.start(step / 5), 0.0)
    pace.record_limit(pace.start(10.0), 10.0, retry_after=0.0, per_minute=None)
    assert pace.per_minute == pytest.approx(294)
    pace.resize(0.5)
    for second in range(11, 71):
        pace.record_success(pace.start(float(second)), float(second))
    assert pace.per_minute == pytest.approx(294, rel=0.1)


def test_refusals_because_of_a_limit_count_as_failures_until_a_success():
    """An account that is refused for long is an outage like any other."""
    pace = Pace(per_minute=None, in_flight=64)
    for count in range(1, 11):
        pace.record_limit(pace.start(float(count)), float(count), retry_after=0.0, per_minute=None)
        assert pace.outage is (count == 10)
    assert pace.failing_for(11.0) == 10.0


def test_a_named_limit_that_is_the_rate_already_makes_it_slower():
    """The service refuses at this rate, so that the limit which it names can't be all that counts."""
    pace = Pace(per_minute=600, in_flight=64)
    pace.record_limit(pace.start(100.0), 100.0, retry_after=0.0, per_minute=600)
    assert pace.per_minute == pytest.approx(600 * 0.75)
