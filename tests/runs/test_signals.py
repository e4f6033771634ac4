"""Signals stop a run. One stop may be delivered twice; a second one counts only after a second."""

import signal
import threading

import pytest

from imagen_batch.runs import signals
from imagen_batch.runs.signals import handle_signals
from imagen_batch.sending.stop import Stop


class Abort:
    """Records that it was called."""

    def __init__(self):
        self.called = threading.Event()

    def __call__(self):
        self.called.set()


@pytest.mark.parametrize("pair", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGHUP)])
def test_one_stop_that_is_delivered_twice_drops_nothing(pair):
    """`timeout` signals the process and its group within 2 ms."""
    stop, abort, announced = Stop(), Abort(), []
    with handle_signals(stop, grace=30, abort=abort, announce=announced.append):
        for number in pair:
            signal.raise_signal(number)
        assert stop.signal == pair[0]
        assert not abort.called.wait(0.2)
    assert announced == [pair[0]]


def test_a_late_second_signal_aborts_attempts_in_flight(monkeypatch):
    """It means that the user does not want to wait."""
    monkeypatch.setattr(signals, "_SECOND_SIGNAL_AFTER_S", 0.05)
    abort = Abort()
    with handle_signals(Stop(), grace=30, abort=abort):
        signal.raise_signal(signal.SIGINT)
        assert not abort.called.wait(0.1)
        signal.raise_signal(signal.SIGINT)
        assert abort.called.wait(5)


def test_attempts_in_flight_are_aborted_after_the_grace_time():
    """No second signal is needed."""
    abort = Abort()
    with handle_signals(Stop(), grace=0.05, abort=abort):
        signal.raise_signal(signal.SIGTERM)
        assert abort.called.wait(5)


def test_the_earlier_handlers_are_restored():
    """They are the caller's own."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with handle_signals(Stop(), grace=1, abort=Abort()):
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
