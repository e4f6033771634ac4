"""A process that was suspended reads what has arrived before it gives up."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from imagen_batch.providers import attempt_deadline as deadlines_module
from imagen_batch.providers.attempt_deadline import Deadlines

BODY = b'{"candidates": [{"data": "' + b"A" * 500_000 + b'"}]}'
CHILD = """
import sys
from imagen_batch.providers.credentials import Credential
from imagen_batch.providers.transport import Transport
from imagen_batch.errors import Transient
sender = Transport(Credential("k" * 20), timeout=0.5)
try:
    print(len(sender.post(sys.argv[1], b"{}").body))
except Transient as error:
    print(error.kind)
"""


class Clock:
    """A clock that only a test advances."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def wait_for_check(deadlines):
    """Wait until the watcher has read the clock again."""
    before = deadlines.looks
    ends = time.monotonic() + 5
    while deadlines.looks < before + 2 and time.monotonic() < ends:
        time.sleep(0.01)


@pytest.fixture
def watched(monkeypatch):
    """Return deadlines with a fake clock, which count how often they check it."""
    clock = Clock()
    monkeypatch.setattr(deadlines_module, "_CHECK_EVERY_S", 0.01)
    monkeypatch.setattr(Deadlines, "looks", 0, raising=False)
    original = Deadlines._abort_overdue

    def counting(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.looks += 1

    monkeypatch.setattr(Deadlines, "_abort_overdue", counting)
    deadlines = Deadlines(clock)
    yield deadlines, clock
    deadlines.close()


def test_an_attempt_that_expired_during_suspension_gets_extra_time(watched):
    """Its reply may have arrived already."""
    deadlines, clock = watched
    with deadlines.within(300) as attempt:
        wait_for_check(deadlines)
        clock.now += 5000
        wait_for_check(deadlines)
        assert not attempt.overdue


def test_the_extra_time_after_suspension_ends(watched):
    """A service that trickles gets no more than ten seconds."""
    deadlines, clock = watched
    with deadlines.within(300) as attempt:
        wait_for_check(deadlines)
        clock.now += 5000
        wait_for_check(deadlines)
        for _ in range(30):
            clock.now += 0.4
            checks_before = deadlines.looks
            while deadlines.looks == checks_before:
                time.sleep(0.01)
        assert attempt.overdue


def test_without_suspension_an_attempt_ends_at_its_deadline(watched):
    """No time is added."""
    deadlines, clock = watched
    with deadlines.within(0.3) as attempt:
        wait_for_check(deadlines)
        clock.now += 0.35
        wait_for_check(deadlines)
        assert attempt.overdue


def test_an_idle_watcher_was_not_suspended(watched):
    """Hours between two attempts give the second one no more time."""
    deadlines, clock = watched
    clock.now += 10_000
    with deadlines.within(0.3) as attempt:
        wait_for_check(deadlines)
        clock.now += 0.35
        wait_for_check(deadlines)
        assert attempt.overdue


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals that suspend")
def test_a_reply_that_came_while_the_process_was_stopped_is_read():
    """This happens after Ctrl-Z and fg, later than the timeout."""
    stopped, answered = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(2**16)
                request_arrived.set()
                stopped.wait(10)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY))
                answered.set()

        request_arrived = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        child = subprocess.Popen([sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True)
        assert request_arrived.wait(30)
        os.kill(child.pid, signal.SIGSTOP)
        stopped.set()
        time.sleep(0.9)
        os.kill(child.pid, signal.SIGCONT)
        out, _ = child.communicate(timeout=30)
        thread.join(10)
    assert out.strip() == str(len(BODY))
