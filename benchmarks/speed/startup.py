"""Measures the time from the command to the first request, from the last reply to the exit, and of `--help`.

    python -m benchmarks.speed.startup [RUNS=5]

Runs `imagen-batch run` on 10 prompts of 0.2 s, once with its own Prefect server and once with a running one, and on 2
prompts of 1 s, against a simulator in this process. The first request is compared with a program that only imports
three libraries, started in turn with the runs: by the clock, and by the CPU time of the process until it connects,
which depends less on what else the machine does. Prints medians. With its own server, such short runs end before the
server is up, which then records them; each run waits for that, so that it does not disturb the next one.

All of it has cached bytecode, as an installed program has, also where PYTHONDONTWRITEBYTECODE is set.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.figures import Figure, at_most, report_and_exit
from benchmarks.support.processes import COMMAND, cost_of, prefect_server, run_command, write_prompts
from imagen_batch.simulator import Simulator

BASELINE = [sys.executable, "-c", "import requests, pyarrow, pydantic"]
FIRST_RATIO, HELP_S = 1.3, 0.4
LAST_S = {"own server": 1.0, "PREFECT_API_URL set": 0.6}
SHORT_S = 4.5  # half of what it took when the first request waited for Prefect
_RECORDED_S = 60.0
_CONNECTED_S = 60.0
_NOT_INHERITED = ("PREFECT_API_URL", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Times:
    """Seconds of one run: command to first request, last reply to exit, command to exit."""

    first: float
    last: float
    whole: float


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    env = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    _once(env, 1, 0.0)  # the first run makes Prefect's database and the bytecode
    figures = [*_measure("own server", env, runs), _measure_cpu(env, runs), _short(env, runs)]
    with prefect_server() as server:
        figures += _measure("PREFECT_API_URL set", {**env, "PREFECT_API_URL": server.url}, runs)
    helps = [cost_of([COMMAND, "--help"]).seconds for _ in range(runs)]
    report_and_exit([*figures, at_most("--help", statistics.median(helps), HELP_S, " s")])


def _measure(name: str, env: Mapping[str, str], runs: int) -> list[Figure]:
    baselines, times = [], []
    for _ in range(runs):
        baselines.append(cost_of(BASELINE, env=env).seconds)
        times.append(_once(env, 10, 0.2))
    baseline, first = statistics.median(baselines), _median(times, lambda run: run.first)
    return [
        Figure(f"first request, {name}", f"{first:.2f} s"),
        at_most(
            f"the same, relative to importing requests, pyarrow, pydantic ({name})", first / baseline, FIRST_RATIO
        ),
        at_most(f"last reply to exit, {name}", _median(times, lambda run: run.last), LAST_S[name], " s"),
    ]


def _measure_cpu(env: Mapping[str, str], runs: int) -> Figure:
    baselines, runs_cpu = [], []
    for _ in range(runs):
        baselines.append(cost_of(BASELINE, env=env).cpu)
        runs_cpu.append(_cpu_until_connected(env))
    ratio = statistics.median(runs_cpu) / statistics.median(baselines)
    return at_most("CPU time before the first request, relative to importing the same", ratio, FIRST_RATIO)


def _cpu_until_connected(env: Mapping[str, str]) -> float:
    """Return the seconds of CPU that a run uses until it connects to the service. It is killed then."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as service:
        service.settimeout(_CONNECTED_S)
        command = run_command(write_prompts(Path(folder) / "run", 10), f"http://127.0.0.1:{service.getsockname()[1]}")
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True) as child:
            try:
                connection, _ = service.accept()
                cpu = sum(_nanoseconds(task) for task in Path(f"/proc/{child.pid}/task").iterdir()) / 1e9
                connection.close()
            finally:
                os.killpg(child.pid, signal.SIGKILL)
        return cpu


def _nanoseconds(task: Path) -> int:
    return int((task / "schedstat").read_text(encoding="utf-8").split()[0])


def _short(env: Mapping[str, str], runs: int) -> Figure:
    times = [_once(env, 2, 1.0) for _ in range(runs)]
    return at_most("two images of 1 s, command to exit", _median(times, lambda run: run.whole), SHORT_S, " s")


def _median(times: list[Times], part: Callable[[Times], float]) -> float:
    return statistics.median(map(part, times))


def _once(env: Mapping[str, str], images: int, latency: float) -> Times:
    with tempfile.TemporaryDirectory() as folder, Simulator(latency=latency) as sim:
        command = run_command(write_prompts(Path(folder) / "run", images), sim.url)
        began = time.time()
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        ended = time.time()
        times = [request.time for request in sim.requests]
        _wait_until_recorded(env)
        return Times(times[0] - began, ended - (times[-1] + latency), ended - began)


def _wait_until_recorded(env: Mapping[str, str]) -> None:
    """Wait until no run is left that Prefect has not recorded."""
    folder = Path(env.get("PREFECT_HOME") or Path.home() / ".prefect") / "imagen-batch-unrecorded"
    deadline = time.monotonic() + _RECORDED_S
    while folder.is_dir() and any(folder.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
