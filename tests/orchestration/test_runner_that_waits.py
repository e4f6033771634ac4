"""The runner of `imagen-batch serve` passes a signal on to the processes of its runs and waits for them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from imagen_batch.orchestration.deployments import runner_that_waits
from imagen_batch.orchestration.deployments.runner_that_waits import RunnerThatWaits

_ENDS_LATER = """
import signal, sys, time
def later(*_):
    time.sleep(0.3)
    print("finished", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, later)
print("ready", flush=True)
time.sleep(20)
"""
_ENDS_AT_THE_SECOND = """
import signal, sys, time
stops = []
def count(*_):
    stops.append(1)
signal.signal(signal.SIGTERM, count)
print("ready", flush=True)
end = time.monotonic() + 20
while len(stops) < 2 and time.monotonic() < end:
    time.sleep(0.02)
print("abandoned", flush=True)
"""
_COUNTS = """
import signal, time
stops = []
signal.signal(signal.SIGTERM, lambda *_: stops.append(1))
print("ready", flush=True)
end = time.monotonic() + 20
while not stops and time.monotonic() < end:
    time.sleep(0.02)
time.sleep(0.5)
print(len(stops), flush=True)
"""
_NEVER_ENDS = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(20)
"""


class _Processes:
    """The processes of the runs, as Prefect's process manager has them; `program` is the run that is going on."""

    def __init__(self, program):
        self.process = program

    def flow_run_ids(self):
        return set() if self.process is None else {"run"}

    def get(self, _run):
        code = self.process.poll()
        return SimpleNamespace(pid=self.process.pid, returncode=code)


class _OfflineRunner(RunnerThatWaits):
    """The runner without a server: its loop waits until `astop`."""

    def __init__(self, program):
        super().__init__("offline", grace=0.0)
        self._process_manager = _Processes(program)
        self._ending = None

    async def start(self, run_once=False, webserver=None):
        self._ending = asyncio.Event()
        self.started = True
        await self._ending.wait()

    async def astop(self):
        await self.cancel_all()
        self.started = False
        self._ending.set()

    def _unfinished(self):
        process = self._process_manager.process
        return int(process is not None and process.poll() is None)


@contextmanager
def _program(text):
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _send(*numbers, pause=0.0):
    """Send signals to this process, the first one in a moment."""

    def send():
        for number in numbers:
            time.sleep(max(0.2, pause))
            os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_ends_by_itself_before_the_runner_ends(capsys, number):
    """Each signal counts; one line says that it waits."""
    with _program(_ENDS_LATER) as process:
        _send(number)
        assert _OfflineRunner(process).run_until_stopped() == number
        assert (process.poll(), process.stdout.read()) == (0, "finished\n")
    [line] = capsys.readouterr().err.splitlines()
    assert "for 1 run to end" in line


def test_an_idle_runner_ends_at_once_and_says_nothing(capsys):
    """There is nothing to wait for."""
    _send(signal.SIGTERM)
    assert _OfflineRunner(None).run_until_stopped() == signal.SIGTERM
    assert capsys.readouterr().err == ""


def test_a_second_signal_is_passed_on(monkeypatch):
    """The run then abandons what is in flight."""
    monkeypatch.setattr(runner_that_waits, "_SECOND_SIGNAL_AFTER_S", 0.1)
    with _program(_ENDS_AT_THE_SECOND) as process:
        _send(signal.SIGTERM, signal.SIGTERM, pause=0.3)
        _OfflineRunner(process).run_until_stopped()
        assert process.stdout.read() == "abandoned\n"


def test_one_stop_that_arrives_twice_is_one_stop():
    """Supervisors signal a process and its group; a second delivery within a second abandons nothing."""
    with _program(_COUNTS) as process:
        runner = _OfflineRunner(process)
        _send(signal.SIGINT, signal.SIGTERM)
        assert runner.run_until_stopped() == signal.SIGINT
        assert process.stdout.read() == "1\n"


def test_a_run_that_does_not_end_is_killed(monkeypatch, capsys):
    """It gets the grace time and the time for its tables."""
    monkeypatch.setattr(runner_that_waits, "_TABLES_S", 0.3)
    with _program(_NEVER_ENDS) as process:
        _send(signal.SIGTERM)
        _OfflineRunner(process).run_until_stopped()
        assert process.wait(5) == -signal.SIGKILL
    assert "killed 1 run that did not end in time" in capsys.readouterr().err


def test_a_server_that_does_not_take_the_states_delays_the_end_by_seconds(monkeypatch, capsys):
    """The process of the run has ended; Prefect's runner would try for a minute."""
    monkeypatch.setattr(runner_that_waits, "_START_OR_END_S", 0.3)
    monkeypatch.setattr(_OfflineRunner, "_unfinished", lambda _runner: 1)
    with _program(_ENDS_LATER) as process:
        _send(signal.SIGTERM)
        started = time.monotonic()
        _OfflineRunner(process).run_until_stopped()
        assert process.poll() == 0
    assert time.monotonic() - started < 10
    assert "killed" not in capsys.readouterr().err
