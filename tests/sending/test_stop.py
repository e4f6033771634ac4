"""Stops: the first reason stays, and a signal handler may come at any line."""

import subprocess
import sys

import pytest

from imagen_batch.errors import Fatal, Interrupted
from imagen_batch.sending.stop import Stop

INTERRUPTED_AT_EVERY_LINE = """
import signal, sys
from imagen_batch.errors import Fatal, Interrupted
from imagen_batch.stopping import Stop

stop, left = None, 0

def trace(frame, event, argument):
    # Sends a signal at the n-th line that is executed in stopping.py or below it.
    global left
    if event == "line" and frame.f_code.co_filename.endswith(("stopping.py", "threading.py")):
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGUSR1)
    return trace

def slept():
    try:
        stop.sleep(0.001)
    except Interrupted:
        pass

def handler(number, frame):
    sys.settrace(None)
    stop.for_signal(number)

signal.signal(signal.SIGUSR1, handler)
for act in (lambda: stop.for_error(Fatal("full", kind="disk", outcome="disk")), slept):
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
    """The handler runs in the thread that holds the lock."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_EVERY_LINE], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("error_first", [True, False])
def test_the_first_reason_stays(error_first):
    """An error after a signal changes nothing, and the other way round."""
    stop, error = Stop(), Fatal("full", kind="disk", outcome="disk")
    calls = [lambda: stop.fail(error), lambda: stop.interrupt(15)]
    for call in calls if error_first else reversed(calls):
        call()
    assert (stop.fatal, stop.signal) == ((error, None) if error_first else (None, 15))
    with pytest.raises(Interrupted):
        stop.sleep(10)
