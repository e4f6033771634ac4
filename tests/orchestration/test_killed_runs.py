"""Flow runs whose processes were killed become crashed; live ones and those of others are left alone."""

import json
import os
import subprocess
import sys
import time

import pytest

from imagen_batch.orchestration.recording.killed_runs import (
    OWN_SERVER,
    RunningMark,
    end_killed_runs,
    mark_running,
)
from imagen_batch.orchestration.recording.prefect_api import Refused, Unavailable

URL = "http://127.0.0.1:4200/api"
SELECTION = {"idempotency_key": {"any_": ["k"]}}
MARK = f"""
import os, signal, sys
from pathlib import Path
from imagen_batch.orchestration.recording.killed_runs import mark_running
mark = mark_running(Path(sys.argv[1]), server={URL!r}, selection={SELECTION!r})
print("marked", flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


class _Prefect:
    """The flow runs and task runs of a server that are not finished."""

    def __init__(self, error=None):
        self.error = error
        self.crashed = []

    def post(self, path, body):
        """Answer as Prefect does."""
        if self.error is not None:
            raise self.error
        if path == "/flow_runs/filter":
            assert body["flow_runs"]["state"]["type"]["any_"] == ["PENDING", "RUNNING", "CANCELLING"]
            return [{"id": body["flow_runs"]["idempotency_key"]["any_"][0]}]
        if path == "/task_runs/filter":
            return [{"id": "shard"}]
        assert body["state"]["type"] == "CRASHED"
        self.crashed.append(path)
        return {}


def _marks(home):
    return sorted(path.suffix for path in (home / "imagen-batch-running").iterdir())


def _leave_behind(home, **facts):
    """Write a mark and end without removing it, as a killed process does."""
    mark = RunningMark(home, server=URL, selection=SELECTION)
    mark._file.close()
    if facts:
        mark._path.write_text(json.dumps({**json.loads(mark._path.read_text()), **facts}))
    return mark._path


def test_a_run_is_left_alone_until_its_process_is_killed(tmp_path):
    """Then it is marked as crashed, with its shards, once."""
    prefect = _Prefect()
    child = subprocess.Popen(
        [sys.executable, "-c", MARK, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "marked\n"
    assert end_killed_runs(tmp_path, server=URL, api=prefect) == 0
    assert prefect.crashed == []
    child.communicate(timeout=20)
    assert end_killed_runs(tmp_path, server=URL, api=prefect) == 1
    assert prefect.crashed == ["/task_runs/shard/set_state", "/flow_runs/k/set_state"]
    assert end_killed_runs(tmp_path, server=URL, api=prefect) == 0
    assert _marks(tmp_path) == []


def test_a_run_that_recorded_its_end_leaves_no_mark(tmp_path):
    """Nothing is asked about it."""
    mark_running(tmp_path, server=URL, selection=SELECTION).remove()
    assert end_killed_runs(tmp_path, server=URL, api=_Prefect(Unavailable())) == 0
    assert _marks(tmp_path) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"machine": {"host": "another", "boot": "another"}},
        {"machine": None},
        {"server": "http://another/api"},
        {"server": OWN_SERVER},
        {"selection": None},
        {"selection": {}},
        {"selection": {"idempotency_key": {}}},
        {"selection": {"name": {"any_": ["k"]}}},
    ],
)
def test_marks_of_other_machines_and_servers_stay(tmp_path, facts):
    """They may share PREFECT_HOME. After 90 days they are removed."""
    path, prefect = _leave_behind(tmp_path, **facts), _Prefect()
    assert end_killed_runs(tmp_path, server=URL, api=prefect) == 0
    assert path.exists()
    assert end_killed_runs(tmp_path, server=URL, api=prefect, now=time.time() + 91 * 86_400) == 0
    assert not path.exists()
    assert prefect.crashed == []


@pytest.mark.parametrize("host", [True, False])
def test_a_restart_or_another_container_is_the_same_machine(tmp_path, host):
    """The name or the kernel is enough."""
    machine = json.loads(_leave_behind(tmp_path).read_text())["machine"]
    other = {"boot": "another"} if host else {"host": "another"}
    _leave_behind(tmp_path, machine={**machine, **other})
    assert end_killed_runs(tmp_path, server=URL, api=_Prefect()) == 2


def test_what_is_no_mark_neither_stops_nor_holds_up_the_others(tmp_path):
    """A pipe held up `serve` for ever, and deep JSON ended it."""
    path = _leave_behind(tmp_path)
    os.mkfifo(path.with_name("0.json"))
    path.with_name("00.json").write_text("[" * 200_000)
    path.with_name("000.json").mkdir()
    assert end_killed_runs(tmp_path, server=URL, api=_Prefect()) == 1
    assert not path.exists()


def test_a_server_that_fails_keeps_the_marks_for_the_next_time(tmp_path):
    """Whether it does not answer or refuses."""
    path = _leave_behind(tmp_path)
    with pytest.raises(Unavailable):
        end_killed_runs(tmp_path, server=URL, api=_Prefect(Unavailable()))
    assert end_killed_runs(tmp_path, server=URL, api=_Prefect(Refused(422, "no"))) == 0
    assert path.exists()
    assert end_killed_runs(tmp_path, server=URL, api=_Prefect()) == 1


def test_a_home_that_cannot_be_written_does_not_matter(tmp_path):
    """The run is not marked."""
    (tmp_path / "imagen-batch-running").write_text("a file")
    assert mark_running(tmp_path, server=URL, selection=SELECTION) is None


def test_files_that_are_no_marks_are_ignored(tmp_path):
    """Others are still found."""
    _leave_behind(tmp_path)
    (tmp_path / "imagen-batch-running" / "0.json").write_bytes(b"\xff{")
    (tmp_path / "imagen-batch-running" / "1.json").mkdir()
    (tmp_path / "imagen-batch-running" / "2.json").symlink_to("nowhere")
    assert end_killed_runs(tmp_path, server=URL, api=_Prefect()) == 1
