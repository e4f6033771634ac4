"""A run survives the loss of Prefect's server, with its own exit code, its summary, and one line about Prefect."""

import json
import os
import signal
import subprocess
import time
from datetime import UTC, datetime

import pytest

from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, environment
from tests.support.gate import Gate
from tests.support.prefect_history import artifacts_of, flow_run_of, logs_of, task_runs_of
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


def _warnings(err):
    assert "Traceback" not in err
    return [line for line in err.splitlines() if line.startswith("warning")]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_survives_the_loss_of_its_server(tmp_path, prefect_home, number):
    """The server had begun to record the run. It is killed, or frozen: it accepts connections but is silent."""
    gate = Gate()
    with Simulator(clock=gate) as sim:
        source = prompts(tmp_path, *(f"p {row}" for row in range(IMAGES)))
        child = _start(source, sim, tmp_path, prefect_home)
        _wait_until(lambda: flow_run_of(prefect_home, source))
        server = server_of(child.pid)
        os.kill(server, number)
        gate.open()
        _wait_until(lambda: sim.bill.total == IMAGES)
        last_reply = time.monotonic()
        out, err = child.communicate(timeout=200)
        assert time.monotonic() - last_reply < 20  # on a busy machine too
    assert child.returncode == 0, err
    assert json.loads(out)["samples"]["ok"] == IMAGES
    (warning,) = _warnings(err)
    assert "Prefect did not record the end of this run: its server " in warning
    _wait_until(lambda: not is_alive(server))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_run_whose_server_does_not_start_continues_without_it(tmp_path, prefect_home, number):
    """Requests do not wait for it. The run prints one warning, and leaves no process behind."""
    gate = Gate()
    with Simulator(clock=gate) as sim:
        child = _start(prompts(tmp_path, *"abc"), sim, tmp_path, prefect_home)
        _wait_until(lambda: server_of(child.pid))
        server = server_of(child.pid)
        os.kill(server, number)
        assert gate.reached.wait(60)
        gate.open()
        out, err = child.communicate(timeout=200)
    assert child.returncode == 0, err
    assert json.loads(out)["samples"]["ok"] == 3
    (warning,) = _warnings(err)
    assert "warning: Prefect will not show this run: its server does not answer" in warning or (
        "warning: Prefect will not show this run: its server did not start" in warning
    )
    _wait_until(lambda: not is_alive(server))


def test_ctrl_c_while_the_server_boots_ends_at_once(tmp_path, prefect_home):
    """Images in flight are kept, nothing waits for Prefect, and no process stays behind."""
    gate = Gate()
    with Simulator(clock=gate) as sim:
        child = _start(prompts(tmp_path, *"abcdef"), sim, tmp_path, prefect_home)
        _wait_until(lambda: server_of(child.pid))
        server = server_of(child.pid)
        assert gate.reached.wait(60)
        child.send_signal(signal.SIGINT)
        assert "Stopping" in _read_until(child.stderr, "Stopping")
        gate.open()
        out, err = child.communicate(timeout=60)
        assert json.loads(out)["samples"]["ok"] == sim.bill.total < 6
    assert child.returncode == 130
    assert "Traceback" not in err
    _wait_until(lambda: not is_alive(server), seconds=5)


def test_a_run_that_ends_before_its_server_is_up_is_recorded_after_it(tmp_path, prefect_home):
    """The server's process records it and ends. The log has the true times."""
    with Simulator() as sim:
        source = prompts(tmp_path, "a", "b", "c [[sim:finish_IMAGE_SAFETY]]")
        began = time.time()
        child = _start(source, sim, tmp_path, prefect_home)
        _wait_until(lambda: server_of(child.pid))
        server = server_of(child.pid)
        _, err = child.communicate(timeout=60)
        ended = time.time()
    assert child.returncode == 3
    assert _warnings(err) == []
    _wait_until(lambda: not is_alive(server))
    run = flow_run_of(prefect_home, source)
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "PartlyMade")
    assert task_runs_of(prefect_home, run["id"]) == [{"name": "shard-1", "state_type": "COMPLETED"}]
    times = [_seconds(line["timestamp"]) for line in logs_of(prefect_home, run["id"])]
    assert began < min(times) < max(times) < ended
    kinds = [artifact["key"].split("-")[2] for artifact in artifacts_of(prefect_home, run["id"])]
    assert sorted(kinds) == ["causes", "manifest", "progress", "summary"]
    assert list((prefect_home / "imagen-batch-unrecorded").iterdir()) == []


def _seconds(timestamp):
    return datetime.fromisoformat(timestamp).replace(tzinfo=UTC).timestamp()


def _read_until(stream, word):
    text = ""
    while word not in text and (line := stream.readline()):
        text += line
    return text


def _wait_until(condition, seconds=200.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.02)
