"""Measures the time from the command to the first request, from the last reply to the exit, and of `--help`.

    python -m benchmarks.speed.startup [RUNS=5]

Runs `imagen-batch run` on 10 prompts against a simulator in this process, once starting its own Prefect server and
once using a running one, and prints the median of each figure in seconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.support.figures import at_most, report_and_exit
from benchmarks.support.processes import COMMAND, cost_of, prefect_server, run_command, write_prompts
from imagen_batch.simulator import Simulator

IMAGES, LATENCY_S = 10, 0.2
FIRST_S = {"own server": 5.0, "PREFECT_API_URL set": 2.5}
LAST_S, HELP_S = 2.5, 0.4


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    _once(env)  # the first run makes Prefect's database
    took = {"own server": [_once(env) for _ in range(runs)]}
    with prefect_server() as server:
        took["PREFECT_API_URL set"] = [_once({**env, "PREFECT_API_URL": server.url}) for _ in range(runs)]
    helps = [cost_of([COMMAND, "--help"]).seconds for _ in range(runs)]
    figures = []
    for name, figure in took.items():
        first, last = (statistics.median(one[index] for one in figure) for index in (0, 1))
        figures.append(at_most(f"first request, {name}", first, FIRST_S[name], " s"))
        figures.append(at_most(f"last reply to exit, {name}", last, LAST_S, " s"))
    report_and_exit([*figures, at_most("--help", statistics.median(helps), HELP_S, " s")])


def _once(env: Mapping[str, str]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder, Simulator(latency=LATENCY_S) as sim:
        command = run_command(write_prompts(Path(folder) / "run", IMAGES), sim.url)
        began = time.time()
        subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
        ended = time.time()
        times = [one.time for one in sim.requests]
        return times[0] - began, ended - (times[-1] + LATENCY_S)


if __name__ == "__main__":
    main()
