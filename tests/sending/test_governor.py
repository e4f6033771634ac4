"""The governor makes attempts wait, lets them start in time, and never blocks a stop."""

import threading
import time

import pytest

from imagen_batch.errors import Interrupted, RateLimited, StopRun, Transient
from imagen_batch.sending.governor import FailureCause, Governor
from imagen_batch.sending.stop import Stop


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def _governor(clock, stop=None, **settings):
    chosen = {"per_minute": None, "in_flight": 8, "outage_limit": 600.0, **settings}
    return Governor(**chosen, stop=stop or Stop(), clock=clock)


def test_a_stop_frees_all_waiting_threads():
    """A Ctrl-C ends every wait."""
    clock, stop = Clock(), Stop()
    governor = _governor(clock, stop)
    limited = RateLimited("over", kind="quota_minute", retry_after=1e6)
    governor.record_failure(governor.acquire(), limited)
    ended = []

    def wait():
        with pytest.raises(Interrupted):
            governor.acquire()
        ended.append(1)

    threads = [threading.Thread(target=wait) for _ in range(16)]
    for thread in threads:
        thread.start()
    stop.interrupt(2)
    for thread in threads:
        thread.join(5)
    assert len(ended) == 16


def test_a_long_series_of_failures_stops_the_run_as_an_outage():
    """The exit code means "try again later"; no row is to blame."""
    clock = Clock()
    governor = _governor(clock)
    error = Transient("overloaded", kind="overloaded", http_status=503)
    for clock.now in range(0, 600, 40):
        governor.record_failure(governor.acquire(), error)
    clock.now = 661
    with pytest.raises(StopRun) as caught:
        governor.record_failure(governor.acquire(), error)
    assert (caught.value.exit_code, caught.value.cause) == (75, "outage")


def test_two_failures_far_apart_are_no_outage():
    """Failures of a model with few requests must not stop the run."""
    clock = Clock()
    governor = _governor(clock)
    error = Transient("overloaded", kind="overloaded", http_status=503)
    for clock.now in (0, 1200, 2400):
        governor.record_failure(governor.acquire(), error)


def test_attempts_in_an_outage_do_not_count_against_their_row():
    """The first few do: it may not be an outage yet."""
    clock = Clock()
    governor = _governor(clock)
    error = Transient("overloaded", kind="overloaded", http_status=503)
    causes = []
    for _ in range(12):
        causes.append(governor.record_failure(governor.acquire(), error))
        clock.now += 40
    assert causes[0] is FailureCause.REQUEST
    assert causes[-1] is FailureCause.OUTAGE


def test_a_success_ends_the_outage():
    """The count of failures starts again at 0."""
    clock = Clock()
    governor = _governor(clock, outage_limit=50.0)
    error = Transient("overloaded", kind="overloaded")
    for _ in range(5):
        governor.record_failure(governor.acquire(), error)
        clock.now += 40
        governor.record_success(governor.acquire())


def test_waiting_threads_sleep():
    """They do not watch the clock all the time, and start when the pause is over."""
    calls = []

    def clock():
        calls.append(1)
        return time.monotonic()

    governor = _governor(clock)
    governor.record_failure(governor.acquire(), RateLimited("over", kind="quota_minute", retry_after=0.1))
    began = time.monotonic()
    governor.acquire()
    assert time.monotonic() - began >= 0.09
    assert len(calls) < 20


@pytest.mark.parametrize("report", ["success", "failure", "cancellation"])
def test_an_attempt_that_ends_makes_room_for_a_waiting_one(report):
    """The count of attempts in flight goes down with any end, and a waiting thread starts at once."""
    governor = _governor(time.monotonic, in_flight=1)
    permit, started = governor.acquire(), []
    waiter = threading.Thread(target=lambda: started.append(governor.acquire()))
    waiter.start()
    if report == "success":
        governor.record_success(permit)
    elif report == "failure":
        governor.record_failure(permit, Transient("overloaded", kind="overloaded"))
    else:
        governor.record_cancellation()
    waiter.join(5)
    assert len(started) == 1
    assert governor._pace._in_flight == 1
