"""A waiting thread starts as soon as it may, without polling the clock."""

import threading

import pytest

from imagen_batch.errors import Interrupted, StopRun, Transient
from imagen_batch.sending.governor import FailureCause, Governor
from imagen_batch.sending.stop import Stop

ENDINGS = {
    "success": lambda governor, permit: governor.record_success(permit),
    "failure": lambda governor, permit: governor.record_failure(permit, Transient("busy", kind="overloaded")),
    "cancellation": lambda governor, _permit: governor.record_cancellation(),
    "a larger share": lambda governor, _permit: governor.resize(1.0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_attempt_that_ends_wakes_the_next_one(ending, monkeypatch):
    """The maximum wait would be half a minute."""
    monkeypatch.setattr("imagen_batch.sending.governor._MAX_WAIT_S", 30.0)
    entered = threading.Event()

    class Watched(Stop):
        def check(self):
            entered.set()
            super().check()

    clock = [0.0]
    governor = Governor(per_minute=60_000, in_flight=2, outage_limit=60.0, stop=Watched(), clock=lambda: clock[0])
    governor.resize(0.5)  # one attempt in flight
    permit = governor.acquire()
    clock[0] = 100.0
    entered.clear()
    waiter = threading.Thread(target=governor.acquire)
    waiter.start()
    assert entered.wait(10)
    ENDINGS[ending](governor, permit)
    waiter.join(10)
    assert not waiter.is_alive()


def test_a_stopped_run_grants_no_permit():
    """This holds even when a permit is free."""
    stop = Stop()
    stop.interrupt(2)
    governor = Governor(per_minute=None, in_flight=2, outage_limit=60.0, stop=stop)
    with pytest.raises(Interrupted):
        governor.acquire()


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_limits_of_time_are_exceeded_and_not_reached():
    """Exactly 30 seconds of failures may be due to some rows; exactly the outage limit is no outage yet."""
    clock = Clock()
    governor = Governor(per_minute=None, in_flight=64, outage_limit=600.0, stop=Stop(), clock=clock)
    error = Transient("busy", kind="overloaded")
    for _ in range(20):
        governor._pace.start(clock.now)
        governor.record_failure(None, error)
    causes = []
    for clock.now in (30.0, 30.5, 600.0):
        governor._pace.start(clock.now)
        causes.append(governor.record_failure(None, error))
    assert causes == [FailureCause.REQUEST, FailureCause.OUTAGE, FailureCause.OUTAGE]
    clock.now = 600.5
    governor._pace.start(clock.now)
    with pytest.raises(StopRun):
        governor.record_failure(None, error)
