"""Checks nights that a cron schedule of a real Prefect server starts: overlap, a killed run, and the same date again.

    python -m benchmarks.reliability.nights_on_prefect

Serves a deployment that is due every minute, against a simulator whose first minute is slow. The second run must be
skipped while the first is going on; the first one's process gets SIGKILL; the third run must complete the date, and
the fourth send nothing. In the end the killed run must show as crashed, and at most the images that were in flight at
the kill were made twice.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.support.processes import write_prompts
from imagen_batch.simulator import Simulator
from tests.support.cli import COMMAND, command, environment
from tests.support.full_prefect_server import full_prefect_server
from tests.support.processes import command_line, descendants

PROMPTS, CONCURRENCY = 40, 2
LATENCY_S = 4.0  # 80 s for all, more than a minute
_PATIENCE_S = 150.0


def main() -> None:
    """Run four minutes and print the runs of the schedule."""
    with tempfile.TemporaryDirectory() as name, Simulator(latency=LATENCY_S) as sim:
        home = Path(name) / "home"
        home.mkdir()
        source = write_prompts(Path(name) / "job", PROMPTS)
        with full_prefect_server(home) as url:
            runs, made = _spend_nights(source, sim, url, home)
        folders = list((source.parent / "outputs" / "nights").glob("2*"))
        summary = json.loads((folders[-1] / "summary.json").read_text())
    states = [run["state_name"] for run in runs]
    for run in runs:
        print(
            f"{run['expected_start_time'][11:16]}  {run['name']}  {run['state_name']:<10}  {run['state']['message']}"
        )
    print(f"{made} images made for {PROMPTS} samples, {summary['samples']['ok']} of them ok")
    if states[:4] != ["Crashed", "Skipped", "Completed", "Completed"] or not PROMPTS <= made <= PROMPTS + CONCURRENCY:
        sys.exit("the nights did not end as they should")


def _spend_nights(source: Path, sim: Simulator, url: str, home: Path) -> tuple[list[dict[str, Any]], int]:
    env = {"PREFECT_API_URL": url, "PREFECT_HOME": str(home)}
    # One date for all runs, also around midnight.
    out = f"outputs/{{name}}/{datetime.now(UTC).date()}"
    job = (source.name, "--name", "nights", "--provider", "simulator", "--base-url", sim.url, "--out", out)
    done = command(
        "deploy", *job, "--concurrency", CONCURRENCY, "--cron", "* * * * *", "--timezone", "UTC",
        here=source.parent, env=env,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(done.stderr)
    runner = subprocess.Popen(
        [COMMAND, "serve", "nights"], cwd=source.parent, env=environment(env), stderr=subprocess.DEVNULL
    )
    try:
        _wait_until(lambda: len(sim.images) > 0)
        _wait_until(lambda: "Skipped" in [run["state_name"] for run in _started(url)])
        processes = {pid: command_line(pid) for pid in descendants(runner.pid)}
        os.kill(min(pid for pid, words in processes.items() if "prefect" in words), signal.SIGKILL)
        _wait_until(lambda: len([run for run in _started(url) if run["state_name"] == "Completed"]) > 1)
    finally:
        runner.terminate()
        runner.wait(60)
    return [run for run in _started(url) if run["state_name"] != "Cancelled"], len(sim.images)


def _started(url: str) -> list[dict[str, Any]]:
    """Return the runs that have begun, in the order of the schedule."""
    body = {
        "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED", "PENDING"]}}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    request = urllib.request.Request(
        f"{url}/flow_runs/filter", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as reply:
        runs: list[dict[str, Any]] = json.load(reply)
    return runs


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = datetime.now(UTC) + timedelta(seconds=_PATIENCE_S)
    while not condition():
        if datetime.now(UTC) > deadline:
            sys.exit("a run of the schedule did not come")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
