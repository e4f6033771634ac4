"""Runs the simulated image service of a rehearsal in a child process for as long as the run lasts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from imagen_batch.errors import SettingsInvalid
from imagen_batch.system.child_env import child_environment

_STOP_TIMEOUT_S = 5.0


@contextmanager
def simulator_process(arguments: Sequence[str] = ()) -> Iterator[str]:
    """Run a simulator on a free port of this machine and yield its address."""
    with start_simulator(arguments) as wait_for_address:
        yield wait_for_address()


@contextmanager
def start_simulator(arguments: Sequence[str] = ()) -> Iterator[Callable[[], str]]:
    """Start a simulator; yield a function that waits until it listens and returns its address, to be called once.

    It ends with this process, however this one ends, because its standard input closes.
    """
    # -P: nothing is imported from the current directory.
    command = [sys.executable, "-P", "-m", "imagen_batch.simulator", "--port", "0", "--exit-with-stdin", *arguments]
    child = subprocess.Popen(  # noqa: S603 - our own module
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=child_environment(),
        start_new_session=True,  # Ctrl-C must not reach it: the run still needs the replies in flight
    )

    def wait_for_address() -> str:
        assert child.stdout is not None
        line = child.stdout.readline()
        if "http://" not in line:
            raise SettingsInvalid("the simulator did not start")
        return line[line.index("http://") :].strip()

    try:
        yield wait_for_address
    finally:
        _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    """Terminate the process, and kill it if it does not end within a few seconds."""
    if child.stdin:
        child.stdin.close()
    child.terminate()
    try:
        child.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout:
        child.stdout.close()
