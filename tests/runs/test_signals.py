"""What signals do to a run: one stop may be delivered twice, and a second one counts only after a while."""

import signal
import threading

import pytest

from imagen_batch.runs import signals
from imagen_batch.runs.signals import handle_signals
from imagen_batch.sending.stop import Stop


class Cut:
    """Notes that it was called."""

    def __init__(self):
        self.called = threading.Event()

    def __call__(self):
        self.called.set()


@pytest.mark.parametrize("pair", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGHUP)])
def test_one_stop_that_is_delivered_twice_drops_nothing(pair):
    """As `timeout` does, to the process and to its group within 2 ms."""
    stop, cut, heard = Stop(), Cut(), []
    with handle_signals(stop, grace=30, cut=cut, record_sent=heard.append):
        for number in pair:
            signal.raise_signal(number)
        assert stop.signal == pair[0]
        assert not cut.called.wait(0.2)
    assert heard == [pair[0]]


def test_a_second_signal_after_a_while_ends_what_is_in_flight(monkeypatch):
    """It is impatience then."""
    monkeypatch.setattr(signals, "_IMPATIENT_AFTER_S", 0.05)
    cut = Cut()
    with handle_signals(Stop(), grace=30, cut=cut):
        signal.raise_signal(signal.SIGINT)
        assert not cut.called.wait(0.1)
        signal.raise_signal(signal.SIGINT)
        assert cut.called.wait(5)


def test_after_the_grace_time_what_is_in_flight_ends():
    """Without a second signal."""
    cut = Cut()
    with handle_signals(Stop(), grace=0.05, cut=cut):
        signal.raise_signal(signal.SIGTERM)
        assert cut.called.wait(5)


def test_signals_mean_afterwards_what_they_meant_before():
    """Whoever called the flow has handlers of their own."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with handle_signals(Stop(), grace=1, cut=Cut()):
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
