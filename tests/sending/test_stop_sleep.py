"""A pause lasts as long as it should, but ends with the run."""

import threading
import time

import pytest

from imagen_batch.errors import Interrupted, StopRun
from imagen_batch.sending.stop import Stop


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 0.01])
def test_a_short_pause_is_short(seconds):
    """A pause that is over already takes no time."""
    began = time.monotonic()
    Stop().sleep(seconds)
    assert 0.0 <= time.monotonic() - began < 0.9


def test_a_pause_without_end_ends_with_the_run():
    """A pause beyond the limit of the system is no error."""
    stop, ended = Stop(), []

    def pause():
        try:
            stop.sleep(1e300)
        except Interrupted:
            ended.append(True)

    thread = threading.Thread(target=pause, daemon=True)
    thread.start()
    while not stop._changed._waiters:
        time.sleep(0.001)
    stop.fail(StopRun("full", cause="disk"))
    thread.join(10)
    assert ended == [True]
