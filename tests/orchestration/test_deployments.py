"""Deployments on a real Prefect server. There are few tests because server and runner are slow."""

import json
import subprocess
import time
import urllib.request

import pytest

from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, command, environment
from tests.support.runs import prompts

pytestmark = pytest.mark.prefect


def _api(server, path, body=None):
    request = urllib.request.Request(
        f"{server.url}/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


@pytest.fixture
def project(tmp_path):
    """A user's project with packages of its own that have the names of ours."""
    for name in ("flows", "prompts", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package')\n")
    (tmp_path / "flows" / "generate_images.py").write_text("raise SystemExit('the wrong flow')\n")
    return tmp_path


@pytest.fixture
def served(prefect_server, prefect_home):
    """The environment of a user who runs a Prefect server."""
    return {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}


def _deployment(server, name):
    return _api(server, f"deployments/name/imagen-batch/{name}")


def _start(server, name):
    return _api(server, f"deployments/{_deployment(server, name)['id']}/create_flow_run", {})["id"]


def _wait_for(server, run, *states, seconds=60):
    deadline = time.monotonic() + seconds
    while (state := _api(server, f"flow_runs/{run}"))["state_name"] not in states:
        assert time.monotonic() < deadline, state["state"]
        time.sleep(0.2)
    return state


def test_a_schedule_is_made_changed_and_taken_away(project, served, prefect_server):
    """The deployment is what the last command said. The form of its parameters describes every field."""
    source = prompts(project, "one")
    options = ("--name", "plain", "--provider", "simulator")
    night = ("--cron", "15 2 * * *", "--timezone", "Europe/Paris")
    done = command("deploy", source.name, *options, *night, here=project, env=served)
    assert done.returncode == 0, done.stderr
    deployment = _deployment(prefect_server, "plain")
    [schedule] = deployment["schedules"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == night[1::2]
    assert deployment["parameters"]["settings"]["prompts"] == str(source)
    fields = deployment["parameter_openapi_schema"]["definitions"]["Settings"]["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert {"notify", "heartbeat"}.isdisjoint(fields), "Prefect would store these secret addresses"
    assert "15 2 * * * (Europe/Paris)" in command("deployments", here=project, env=served).stdout
    assert command("deploy", source.name, *options, here=project, env=served).returncode == 0
    assert _deployment(prefect_server, "plain")["schedules"] == []


def test_overlapping_runs_are_skipped_and_a_cancel_ends_like_ctrl_c(project, served, prefect_server):
    """The first run is canceled while images are in flight; they are kept, and its log has no error."""
    source = prompts(project, *(f"row {number}" for number in range(30)))
    with Simulator(latency=3.0) as sim:
        options = ("--provider", "simulator", "--base-url", sim.url, "--concurrency", "2", "--name", "long")
        assert command("deploy", source.name, *options, here=project, env=served).returncode == 0
        runner = subprocess.Popen(
            [COMMAND, "serve", "long"], cwd=project, env=environment(served), stderr=subprocess.DEVNULL
        )
        try:
            first = _start(prefect_server, "long")
            _wait_for(prefect_server, first, "Running")
            deadline = time.monotonic() + 40
            while len(sim.images) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            second = _start(prefect_server, "long")
            skipped = _wait_for(prefect_server, second, "Skipped")
            assert skipped["state_type"] == "COMPLETED"
            assert "another run of long is going on" in skipped["state"]["message"]
            cancel = {"state": {"type": "CANCELLING"}}
            _api(prefect_server, f"flow_runs/{first}/set_state", cancel)
            _wait_for(prefect_server, first, "Cancelled", seconds=40)
        finally:
            runner.terminate()
            runner.wait(60)
        [summary] = (project / "outputs" / "long-rehearsal").glob("*/summary.json")
        counts = json.loads(summary.read_text())["samples"]
        assert counts["ok"] == len(sim.images)
        assert counts["unknown"] == 0
        logs = _api(prefect_server, "logs/filter", {"logs": {"flow_run_id": {"any_": [first, second]}}})
        assert [line["message"] for line in logs if line["level"] >= 40] == []
        assert any(
            f"{counts['ok']} ok, " in line["message"] and str(summary.parent) in line["message"] for line in logs
        )
