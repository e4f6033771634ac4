"""The database of a run's own server: killed runs do not stay RUNNING in it, and it does not grow without bound."""

import json
import os
import signal
import sqlite3
import subprocess
import time
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from imagen_batch.orchestration.server.own_server import OwnServer
from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, environment
from tests.support.prefect_history import flow_run_of, task_runs_of
from tests.support.runs import prompts

pytestmark = pytest.mark.prefect


def _wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.05)


def _own_server(home):
    return OwnServer({**os.environ, "PREFECT_HOME": str(home)})


def test_a_killed_run_is_crashed_once_another_run_has_started_its_server(tmp_path, prefect_home):
    """And so is its shard. The server of the killed run ended with it."""
    env = environment({"PREFECT_HOME": str(prefect_home)})
    del env["PREFECT_API_URL"]
    with Simulator(latency=120.0) as sim:
        source = prompts(tmp_path, "one", "two")
        child = subprocess.Popen(
            [COMMAND, "run", str(source), "--provider", "simulator", "--base-url", sim.url, "-q"],
            cwd=tmp_path,
            env=env,
        )

        def shards():
            run = flow_run_of(prefect_home, source)
            return [] if run is None else task_runs_of(prefect_home, run["id"])

        _wait_until(shards)
        child.send_signal(signal.SIGKILL)
        child.wait(20)
    assert flow_run_of(prefect_home, source)["state_type"] == "RUNNING"
    server = _own_server(prefect_home)
    try:
        _wait_until(lambda: flow_run_of(prefect_home, source)["state_type"] == "CRASHED")
        assert [shard["state_type"] for shard in shards()] == ["CRASHED"]
    finally:
        server.stop()


def _post(server, path, body):
    request = urllib.request.Request(
        f"{server.url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def _add_finished_run(server, home, name, age):
    """Record a run with a shard, a line of log and an artifact, that ended `age` ago; return its id."""
    flow = _post(server, "flows/", {"name": "imagen-batch"})
    run = _post(server, "flow_runs/", {"flow_id": flow["id"], "name": name, "state": {"type": "RUNNING"}})["id"]
    shard = {"flow_run_id": run, "task_key": "shard", "dynamic_key": "1", "state": {"type": "COMPLETED"}}
    _post(server, "task_runs/", shard)
    _post(server, "artifacts/", {"key": f"summary-{name}", "type": "markdown", "data": "x", "flow_run_id": run})
    _post(server, f"flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}, "force": True})
    with closing(sqlite3.connect(home / "prefect.db", timeout=30)) as database, database:
        ended = (datetime.now(UTC) - age).strftime("%Y-%m-%d %H:%M:%S.%f")
        database.execute("update flow_run set end_time = ? where id = ?", (ended, run))
        database.execute(
            "insert into log (id, name, level, message, timestamp, flow_run_id) values (?, 'x', 20, 'a line', ?, ?)",
            (run, ended, run),
        )
    return run


def _count(home, table, run, column="flow_run_id"):
    with closing(sqlite3.connect(f"file:{home / 'prefect.db'}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(f"select count(*) from {table} where {column} = ?", (run,)).fetchone()[0]


def test_the_own_server_removes_old_runs_with_what_belongs_to_them(prefect_server, prefect_home, monkeypatch):
    """Old runs are those that ended before the retention period, which is 90 days by default."""
    old = _add_finished_run(prefect_server, prefect_home, "old", timedelta(hours=3))
    new = _add_finished_run(prefect_server, prefect_home, "new", timedelta(hours=1))
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD", "7200")
    server = _own_server(prefect_home)
    tables = ("task_run", "log", "artifact")
    try:
        _wait_until(lambda: not any(_count(prefect_home, table, old) for table in tables))
        assert _count(prefect_home, "flow_run", old, "id") == 0
        assert [_count(prefect_home, table, new) for table in tables] == [1, 1, 1]
        assert _count(prefect_home, "flow_run", new, "id") == 1
    finally:
        server.stop()
