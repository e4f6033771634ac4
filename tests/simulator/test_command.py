"""The simulator runs as a process: it prints its address and exits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imagen_batch.simulator import main


@contextmanager
def started(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the simulator; yield the process and its URL. The process has ended afterwards."""
    command = [sys.executable, "-m", "imagen_batch.simulator", "--exit-with-stdin", *options]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("simulator listening on http://127.0.0.1:")
        yield process, line.split()[-1]


def test_it_serves_until_its_standard_input_ends() -> None:
    """It ends with its parent, even if that was killed."""
    with started("--model", "mine") as (process, url):
        with urllib.request.urlopen(f"{url}/_sim/stats", timeout=5) as reply:
            assert json.load(reply)["pictures_made"] == 0
        assert process.communicate(timeout=5) == ("", "")
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quietly(number: signal.Signals) -> None:
    """There is no traceback, and the exit code is 0."""
    with started() as (process, _):
        process.send_signal(number)
        assert process.wait(timeout=5) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "options",
    [["--host", "0.0.0.0"], ["--host", "example.org"], ["--faults", "absent.json"], ["--burst", "0"]],
)
def test_wrong_options_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 2, and the message names the reason."""
    with pytest.raises(SystemExit) as stopped:
        main(options)
    assert stopped.value.code == 2
    assert options[1] in capsys.readouterr().err


def test_it_lists_its_faults(capsys: pytest.CaptureFixture[str]) -> None:
    """Each fault has a line."""
    assert main(["--list-faults"]) == 0
    assert "quota_minute" in capsys.readouterr().out


def test_a_reader_of_the_list_may_leave_early() -> None:
    """As `head -1` does."""
    command = [sys.executable, "-m", "imagen_batch.simulator", "--list-faults"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 0)
