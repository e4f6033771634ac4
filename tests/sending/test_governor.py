"""The door holds everyone, opens in time, and lets nobody hang."""

import threading

import pytest

from imagen_batch.errors import Fatal, Interrupted, RateLimited, Transient
from imagen_batch.sending.governor import Governor
from imagen_batch.sending.stop import Stop


class Clock:
    """Time that tests move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def _governor(clock, stop=None, **settings):
    chosen = {"per_minute": None, "in_flight": 8, "outage_limit": 600.0, **settings}
    return Governor(**chosen, stop=stop or Stop(), clock=clock)


def test_a_stop_frees_everyone_who_waits_at_the_door():
    """No thread waits on something that a Ctrl-C can't end."""
    clock, stop = Clock(), Stop()
    governor = _governor(clock, stop)
    limited = RateLimited("over", kind="quota_minute", retry_after=1e6)
    governor.failed(governor.acquire(), limited)
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


def test_nothing_but_failures_for_long_ends_the_run_with_come_back_later():
    """An outage is not the rows' fault."""
    clock = Clock()
    governor = _governor(clock)
    error = Transient("overloaded", kind="overloaded", http_status=503)
    for clock.now in range(0, 600, 40):
        governor.failed(governor.acquire(), error)
    clock.now = 661
    with pytest.raises(Fatal) as caught:
        governor.failed(governor.acquire(), error)
    assert (caught.value.exit_code, caught.value.outcome) == (75, "outage")


def test_two_failures_far_apart_are_no_outage():
    """A model that is rarely asked must not end the run."""
    clock = Clock()
    governor = _governor(clock)
    error = Transient("overloaded", kind="overloaded", http_status=503)
    for clock.now in (0, 1200, 2400):
        governor.failed(governor.acquire(), error)


def test_attempts_in_an_outage_do_not_count_against_their_row():
    """The first few do: whether it is an outage is not known yet."""
    clock = Clock()
    governor = _governor(clock)
    error = Transient("overloaded", kind="overloaded", http_status=503)
    exempt = []
    for _ in range(12):
        exempt.append(governor.failed(governor.acquire(), error))
        clock.now += 40
    assert exempt[0] is False
    assert exempt[-1] is True


def test_a_success_ends_the_outage():
    """The count of failures begins anew."""
    clock = Clock()
    governor = _governor(clock, outage_limit=50.0)
    error = Transient("overloaded", kind="overloaded")
    for _ in range(5):
        governor.failed(governor.acquire(), error)
        clock.now += 40
        governor.succeeded(governor.acquire())
