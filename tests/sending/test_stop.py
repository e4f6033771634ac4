"""A stop keeps its first reason, and a signal handler may interrupt it at any line."""

import subprocess
import sys

import pytest

from imagen_batch.errors import Interrupted, StopRun
from imagen_batch.sending.stop import Stop

INTERRUPTED_AT_EVERY_LINE = """
import signal, sys
from imagen_batch.errors import StopRun, Interrupted
from imagen_batch.sending.stop import Stop

stop, left = None, 0

def trace(frame, event, argument):
    # Sends a signal when the n-th line is executed in stop.py or below it.
    global left
    if event == "line" and frame.f_code.co_filename.endswith(("sending/stop.py", "threading.py")):
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGUSR1)
    return trace

def sleep():
    try:
        stop.sleep(0.001)
    except Interrupted:
        pass

def handler(number, frame):
    sys.settrace(None)
    stop.interrupt(number)

signal.signal(signal.SIGUSR1, handler)
for act in (lambda: stop.fail(StopRun("full", cause="disk")), sleep):
    line = 0
    while True:
        line += 1
        stop, left = Stop(), line
        sys.settrace(trace)
        act()
        sys.settrace(None)
        if left > 0:
            break
        assert stop.is_set and (stop.signal is None) != (stop.fatal is None), line
    assert line > 3
print("done")
"""


def test_a_signal_at_any_line_of_a_stop_does_not_deadlock():
    """The handler runs in the thread that holds the lock already."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_EVERY_LINE], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("error_first", [True, False])
def test_the_first_reason_stays(error_first):
    """An error after a signal changes nothing, nor does a signal after an error."""
    stop, error = Stop(), StopRun("full", cause="disk")
    calls = [lambda: stop.fail(error), lambda: stop.interrupt(15)]
    for call in calls if error_first else reversed(calls):
        call()
    assert (stop.fatal, stop.signal) == ((error, None) if error_first else (None, 15))
    with pytest.raises(Interrupted):
        stop.sleep(10)
