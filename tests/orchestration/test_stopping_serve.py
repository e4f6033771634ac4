"""A stopped `imagen-batch serve` lets its runs end like Ctrl-C, on a real Prefect server."""

import json
import signal
import subprocess
import urllib.request

import pytest

from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, command, environment
from tests.support.runs import prompts
from tests.support.waiting import wait_for

pytestmark = pytest.mark.prefect


def _api(server, path, body=None):
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}/{path}", content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def test_a_stopped_serve_waits_for_the_images_in_flight_of_its_run(tmp_path, prefect_server, prefect_home):
    """The run gets its grace time and is shown as canceled with its counts; `serve` prints no traceback."""
    env = {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}
    source = prompts(tmp_path, *(f"row {number}" for number in range(30)))
    with Simulator(latency=2.0) as sim:
        job = ("--provider", "simulator", "--base-url", sim.url, "--concurrency", "2", "--name", "stopped")
        assert command("deploy", source.name, *job, here=tmp_path, env=env).returncode == 0
        serve = subprocess.Popen(
            [COMMAND, "serve", "stopped"],
            cwd=tmp_path,
            env=environment(env),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            deployment = _api(prefect_server, "deployments/name/imagen-batch/stopped")["id"]
            run = _api(prefect_server, f"deployments/{deployment}/create_flow_run", {})["id"]
            wait_for(lambda: len(sim.images) >= 2)
            serve.send_signal(signal.SIGTERM)
            _, messages = serve.communicate(timeout=60)
        finally:
            serve.kill()
            serve.wait()
    [summary] = (tmp_path / "outputs" / "stopped-rehearsal").glob("*/summary.json")
    counts = json.loads(summary.read_text())["samples"]
    assert (counts["ok"], counts["unknown"]) == (len(sim.images), 0), messages
    ended = _api(prefect_server, f"flow_runs/{run}")
    assert ended["state_name"] == "Cancelled"
    assert f"{counts['ok']} ok" in ended["state"]["message"]
    assert str(summary.parent) in ended["state"]["message"]
    assert "Traceback" not in messages
    assert "ERROR" not in messages
    assert messages.count("stopping: ") == 1
