"""A run outlives Prefect's server, with its own exit code, its summary, and one line about what Prefect missed."""

import json
import os
import signal
import subprocess
import time

import pytest

from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, environment
from tests.support.processes import is_alive, server_of
from tests.support.runs import prompts

pytestmark = pytest.mark.prefect
IMAGES = 8


def _start(source, sim, here, prefect_home, *options):
    env = environment({"PREFECT_HOME": str(prefect_home)})
    del env["PREFECT_API_URL"]
    typed = [source, "--provider", "simulator", "--base-url", sim.url, "--concurrency", "2", "--json", *options]
    return subprocess.Popen(
        [COMMAND, "run", *map(str, typed)],
        cwd=here,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_outlives_a_server_that_goes_away(tmp_path, prefect_home, number):
    """The server is killed, or stopped so that it accepts connections and never answers."""
    with Simulator(latency=0.3) as sim:
        child = _start(prompts(tmp_path, *(f"p {row}" for row in range(IMAGES))), sim, tmp_path, prefect_home)
        _wait_until(lambda: sim.bill.total >= 2)
        server = server_of(child.pid)
        os.kill(server, number)
        _wait_until(lambda: sim.bill.total == IMAGES)
        last_reply = time.monotonic()
        out, err = child.communicate(timeout=200)
        assert time.monotonic() - last_reply < 20  # on a busy machine too
    assert child.returncode == 0, err
    assert json.loads(out)["samples"]["ok"] == IMAGES
    missed = [line for line in err.splitlines() if line.startswith("warning")]
    assert len(missed) == 1
    assert "Prefect did not record the end of this run: its server " in missed[0]
    assert "Traceback" not in err
    _wait_until(lambda: not is_alive(server))


def test_a_run_whose_server_does_not_start_continues_without_it(tmp_path, prefect_home):
    """It prints one warning."""
    with Simulator() as sim:
        child = _start(prompts(tmp_path, *"abc"), sim, tmp_path, prefect_home)
        _wait_until(lambda: server_of(child.pid))
        os.kill(server_of(child.pid), signal.SIGKILL)
        out, err = child.communicate(timeout=200)
    assert child.returncode == 0, err
    assert json.loads(out)["samples"]["ok"] == 3
    assert "warning: Prefect will not show this run: its server did not start" in err
    assert "Traceback" not in err


def test_ctrl_c_while_the_server_boots_ends_at_once(tmp_path, prefect_home):
    """Nothing is sent, nothing waits for Prefect, and no process stays."""
    with Simulator() as sim:
        child = _start(prompts(tmp_path, *"abc"), sim, tmp_path, prefect_home)
        lines = []
        while "starting Prefect's server" not in "".join(lines):
            lines.append(child.stderr.readline())
        server = server_of(child.pid)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=15)
        assert sim.bill.total == 0
    assert child.returncode == 130
    assert "Traceback" not in err
    _wait_until(lambda: not is_alive(server))


def _wait_until(condition, seconds=200.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.02)
