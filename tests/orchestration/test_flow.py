"""The job within Prefect. There are few tests, because its server starts slowly."""

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, command, environment
from tests.support.processes import descendants, is_alive, server_of
from tests.support.runs import prompts

pytestmark = pytest.mark.prefect
ROOT = Path(__file__).parents[2]


def _api(server, path, body):
    request = urllib.request.Request(
        f"{server.url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def _last_state(server):
    runs = _api(server, "flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    return runs[0]["state"]["type"], runs[0]["state"]["name"], runs[0]["state"]["message"]


@pytest.fixture
def served(prefect_server, prefect_home):
    """The environment of a user who runs a Prefect server."""
    return {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}


def test_a_complete_run_has_the_state_completed(tmp_path, served, prefect_server):
    """The code is 0, and one JSON object is on standard output."""
    source = prompts(tmp_path, "one", "two", "three")
    done = command("run", source, "--provider", "simulator", "--json", here=tmp_path, env=served)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"]["ok"] == 3
    assert _last_state(prefect_server)[:2] == ("COMPLETED", "Completed")
    assert (tmp_path / "outputs" / "prompts-rehearsal" / "manifest.csv").exists()
    kinds = {artifact["type"] for artifact in _api(prefect_server, "artifacts/filter", {})}
    assert {"progress", "markdown"} <= kinds


def test_a_run_with_missing_images_has_a_state_of_its_own(tmp_path, served, prefect_server):
    """The code is 3; name and message of the state notify that images are missing."""
    source = prompts(tmp_path, "one", "two [[sim:finish_IMAGE_SAFETY]]")
    done = command("run", source, "--provider", "simulator", here=tmp_path, env=served)
    assert done.returncode == 3
    assert "filtered" in done.stdout
    kind, name, message = _last_state(prefect_server)
    assert (kind, name) == ("COMPLETED", "PartlyMade")
    assert "1 filtered" in message


def test_a_run_without_images_has_failed(tmp_path, served, prefect_server):
    """The code is 4; there is no traceback for an error that is not a bug."""
    source = prompts(tmp_path, "one [[sim:bad_request]]")
    done = command("run", source, "--provider", "simulator", here=tmp_path, env=served)
    assert done.returncode == 4
    assert _last_state(prefect_server)[0] == "FAILED"
    assert "Traceback" not in done.stderr


def test_the_flow_file_is_the_same_job(tmp_path, served):
    """`python flows/generate_images.py` and `imagen-batch run` do the same."""
    source = prompts(tmp_path, "one")
    done = subprocess.run(
        [sys.executable, ROOT / "flows" / "generate_images.py", source, "--provider", "simulator", "--json"],
        cwd=tmp_path,
        env=environment(served),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"]["ok"] == 1


DEPLOYED = """
import sys
from imagen_batch.orchestration import generate_images
from imagen_batch.settings import Settings
state = generate_images(Settings(prompts=sys.argv[1], provider="simulator"), return_state=True)
print(state.type.value, state.message)
"""


def test_the_flow_runs_without_the_command(tmp_path, served):
    """A deployment calls it with settings only."""
    source = prompts(tmp_path, "one", "two")
    done = subprocess.run(
        [sys.executable, "-c", DEPLOYED, source],
        cwd=tmp_path,
        env=environment(served),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("COMPLETED 2 ok; $0.0718; "), done.stderr
    assert (tmp_path / "outputs" / "prompts-rehearsal" / "summary.json").exists()


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_workers_make_the_shards(tmp_path, served, runner):
    """They run in their own processes; state and summary are those of any other run."""
    pytest.importorskip(f"prefect_{runner}", reason=f"belongs to the extra `{runner}`")
    with Simulator() as sim:
        source = prompts(tmp_path, *(f"prompt {number}" for number in range(60)))
        typed = ["--provider", "simulator", "--base-url", sim.url, "--runner", runner, "--workers", "1", "--json"]
        done = command("run", source, *typed, here=tmp_path, env=served)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["samples"]["ok"] == sim.bill.total == 60
    folder = tmp_path / "outputs" / "prompts-rehearsal" / ".imagen-batch" / "ledger"
    assert len(list(folder.rglob("*.jsonl"))) == 1 + 2


def test_workers_on_other_machines_need_a_server_that_they_can_reach(tmp_path, served):
    """The run stops before anything is sent."""
    pytest.importorskip("prefect_dask")
    typed = [prompts(tmp_path, "one"), "--provider", "simulator"]
    typed += ["--runner", "dask", "--dask-address", "tcp://192.0.2.1:8786"]
    done = command("run", *typed, here=tmp_path, env=served)
    assert done.returncode == 2
    assert "PREFECT_API_URL" in done.stdout


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_no_signal_leaves_an_orphan_and_the_next_run_continues(tmp_path, prefect_home, number, code):
    """The run has its own server. However it ends, its children end, and nothing is paid twice."""
    env = environment({"PREFECT_HOME": str(prefect_home)})
    del env["PREFECT_API_URL"]
    with Simulator(latency=0.3) as sim:
        source = prompts(tmp_path, *(f"prompt {number}" for number in range(40)))
        typed = [source, "--provider", "simulator", "--base-url", sim.url, "--concurrency", "4", "-q"]
        child = subprocess.Popen(
            [COMMAND, "run", *map(str, typed)], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
        )
        _wait_until(lambda: sim.bill.total >= 8)
        children = descendants(child.pid)
        assert server_of(child.pid) in children
        child.send_signal(number)
        child.communicate(timeout=30)
        assert child.returncode == code
        _wait_until(lambda: not any(map(is_alive, children)))
        in_flight = 4 if number == signal.SIGKILL else 0
        done = command("run", *typed, here=tmp_path, env=env | {"PREFECT_API_URL": ""})
        assert done.returncode == 0, done.stderr
        assert sim.bill.total <= 40 + in_flight
    folder = tmp_path / "outputs" / "prompts-rehearsal"
    assert len(list((folder / "images").iterdir())) == 40
    assert not list(folder.rglob("*.part"))
    assert not list((folder / ".imagen-batch" / "incoming").iterdir())


def _wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.05)
