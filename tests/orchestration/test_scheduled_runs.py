"""Runs that Prefect's scheduler makes, and those of a work pool, on a real Prefect server with all its services."""

import json
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import yaml

from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, command, environment
from tests.support.full_prefect_server import full_prefect_server
from tests.support.runs import prompts
from tests.support.waiting import wait_for

pytestmark = pytest.mark.prefect
KEY = "AIza-a-very-secret-key-0123456789"
SCHEDULES = Path(__file__).parents[2] / "docs" / "schedules.md"


@pytest.fixture(scope="module")
def full_server(prefect_server, prefect_home):
    """The address of a server. Its database was made by `prefect_server`, which saves some seconds."""
    with full_prefect_server(prefect_home) as url:
        yield url


@pytest.fixture
def served(full_server, prefect_home):
    """The environment of a user without a key who runs this server."""
    return {"PREFECT_API_URL": full_server, "PREFECT_HOME": str(prefect_home), "PREFECT_WORKER_QUERY_SECONDS": "1"}


def _api(url, path, body=None):
    request = urllib.request.Request(
        f"{url}/{path}", None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def _prefect(*words, here, env, timeout=90):
    done = subprocess.run(
        [Path(sys.executable).with_name("prefect"), "--no-prompt", *map(str, words)],
        cwd=here,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _save_secret(name, env):
    program = "import sys; from prefect.blocks.system import Secret; Secret(value=sys.stdin.read()).save(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", program, name], input=KEY, text=True, env=environment(env), timeout=60, check=True
    )


def _scheduled(url, name):
    """Return the runs of a deployment that are to come, the next one first."""
    chosen = {
        "deployments": {"name": {"any_": [name]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    return _api(url, "flow_runs/filter", chosen)


def _make_due(url, run):
    """Start a run of the schedule now; it stays the run of the moment for which it was scheduled."""
    due = {"type": "SCHEDULED", "state_details": {"scheduled_time": datetime.now(UTC).isoformat()}}
    _api(url, f"flow_runs/{run['id']}/set_state", {"state": due, "force": True})
    return wait_for(lambda: (now := _api(url, f"flow_runs/{run['id']}"))["state_type"] in _FINAL and now)


_FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@contextmanager
def _serving(name, *, here, env):
    runner = subprocess.Popen([COMMAND, "serve", name], cwd=here, env=environment(env), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        runner.terminate()
        runner.wait(30)


def _files_with(text, *folders):
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if text.encode() in path.read_bytes()]


def test_a_schedule_makes_its_runs_and_the_same_date_twice_costs_nothing(tmp_path, served, full_server, prefect_home):
    """The key comes from a Secret block and is nowhere else; without --cron the schedule is gone."""
    source, name = prompts(tmp_path, "one", "two"), "by-cron"
    _save_secret("key-of-google", served)
    with Simulator() as sim:
        job = (source.name, "--name", name, "--base-url", sim.url, "--api-key-block", "key-of-google")
        night = ("--cron", "15,45 2 * * *", "--timezone", "Europe/Paris")
        doctor = command("doctor", source.name, *job[3:], "--json", here=tmp_path, env=served)
        found = {finding["name"]: finding for finding in json.loads(doctor.stdout)["findings"]}
        assert (found["key"]["level"], found["prefect"]["level"]) == ("ok", "ok"), doctor.stdout
        assert "Secret block key-of-google is accepted" in found["key"]["text"]
        done = command("deploy", *job, *night, here=tmp_path, env=served)
        assert done.returncode == 0, done.stderr
        with _serving(name, here=tmp_path, env=served):
            first, second = wait_for(lambda: len(runs := _scheduled(full_server, name)) > 1 and runs)[:2]
            assert first["auto_scheduled"]
            ended = _make_due(full_server, first)
            assert (ended["state_name"], len(sim.images)) == ("Completed", 2), ended["state"]
            assert _make_due(full_server, second)["state_name"] == "Completed"
            assert len(sim.images) == 2
            assert _scheduled(full_server, name) != [], "serving takes no schedule away"
        date = datetime.fromisoformat(first["expected_start_time"]).date()
        assert ended["name"] == f"{name} {date}"
        assert {"imagen-batch", name} < set(ended["tags"])
        assert [path.name for path in (tmp_path / "outputs" / name).glob("2*")] == [str(date)]
        logs = _api(full_server, "logs/filter", {"logs": {"flow_run_id": {"any_": [first["id"]]}}})
        assert any(line["message"].startswith("2 ok; $") for line in logs)
        assert command("deploy", *job, here=tmp_path, env=served).returncode == 0
        assert _api(full_server, f"deployments/name/imagen-batch/{name}")["schedules"] == []
    assert KEY not in json.dumps([ended, logs]) + doctor.stdout + doctor.stderr
    assert _files_with(KEY, tmp_path, prefect_home) == []


def test_a_worker_makes_the_runs_of_a_generated_prefect_yaml(tmp_path, served, full_server):
    """In a work pool of processes, in another folder than that of the file."""
    source, elsewhere = prompts(tmp_path, "one"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    _api(full_server, "work_pools/", {"name": "nights", "type": "process", "base_job_template": {}})
    with Simulator() as sim:
        job = (source.name, "--name", "pooled", "--provider", "simulator", "--base-url", sim.url)
        file = ("--work-pool", "nights", "--prefect-yaml", "prefect.yaml", "--cron", "15 2 * * *")
        done = command("deploy", *job, *file, here=tmp_path, env=served)
        assert done.returncode == 0, done.stderr
        _prefect("deploy", "--all", "--prefect-file", "prefect.yaml", here=tmp_path, env=served)
        deployment = _api(full_server, "deployments/name/imagen-batch/pooled")
        [schedule] = deployment["schedules"]
        assert (schedule["schedule"]["cron"], deployment["work_pool_name"]) == ("15 2 * * *", "nights")
        run = _api(full_server, f"deployments/{deployment['id']}/create_flow_run", {})["id"]
        _prefect("worker", "start", "--pool", "nights", "--run-once", here=elsewhere, env=served)
        assert _api(full_server, f"flow_runs/{run}")["state_name"] == "Completed"
        assert len(sim.images) == 1
    assert list((tmp_path / "outputs" / "pooled-rehearsal").glob("*/summary.json"))
    assert list(elsewhere.iterdir()) == []


def test_the_documented_automation_about_missing_images_is_accepted(full_server):
    """It reacts to the name of the state."""
    text = re.search(r"```yaml\n(name: images are missing.*?)```", SCHEDULES.read_text(encoding="utf-8"), re.DOTALL)[
        1
    ]
    automation = yaml.safe_load(text.replace("ID-OF-YOUR-NOTIFICATION-BLOCK", str(uuid4())))
    made = _api(full_server, "automations/", automation)
    assert made["enabled"]
    assert made["trigger"]["expect"] == ["prefect.flow-run.PartlyMade"]
    assert made["trigger"]["match_related"] == {
        "prefect.resource.role": "flow",
        "prefect.resource.name": "imagen-batch",
    }
