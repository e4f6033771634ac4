"""Child processes of a run do not import packages from the current directory."""

import json

import pytest

from imagen_batch.orchestration.server.own_server import OwnServer
from imagen_batch.runs.local_simulator import simulator_process
from tests.support.cli import command
from tests.support.runs import prompts

NAMES = ("flows", "prompts", "tests", "imagen_batch", "prefect", "uvicorn", "multiprocessing", "random")


@pytest.fixture
def own_folders(tmp_path):
    """A directory with packages named like ours and like our dependencies."""
    for name in NAMES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise SystemExit('{name} of this directory')\n")
    return tmp_path


def test_the_simulator_starts_among_them(own_folders, monkeypatch):
    """It is the child process of a rehearsal."""
    monkeypatch.chdir(own_folders)
    with simulator_process() as url:
        assert url.startswith("http://127.0.0.1:")


@pytest.mark.prefect
def test_prefects_server_starts_among_them(own_folders, monkeypatch, prefect_home):
    """It is the child process of a run without PREFECT_API_URL."""
    monkeypatch.chdir(own_folders)
    monkeypatch.setenv("PREFECT_API_URL", "")
    server = OwnServer({"PREFECT_HOME": str(prefect_home)})
    try:
        server.wait()
    finally:
        server.stop()


@pytest.mark.prefect
def test_a_whole_run_works_among_them(own_folders, prefect_server, prefect_home):
    """It includes the command, the simulator, and a flow run on another server."""
    env = {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}
    typed = [prompts(own_folders, "one"), "--provider", "simulator", "--json"]
    done = command("run", *typed, here=own_folders, env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["samples"]["ok"] == 1
