"""How long from the command to the first request, and from the last reply to the exit?

    python benchmarks/start_and_finish.py [RUNS]

Runs `imagen-batch run` on 10 prompts against a simulator in this process, with and without a Prefect server of
its own having to boot, and prints the median of each figure in seconds.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from flows.server import OwnServer
from imagen_batch.simulator import Simulator

COMMAND = [str(Path(sys.executable).with_name("imagen-batch")), "run"]


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    _once(env)  # the first run makes Prefect's database
    own = [_once(env) for _ in range(runs)]
    server = OwnServer()
    server.wait()
    served = [_once({**env, "PREFECT_API_URL": server.url}) for _ in range(runs)]
    server.stop()
    print(f"{'':<28}{'first request':>14}{'last reply to exit':>20}")
    for name, figures in (("own server", own), ("PREFECT_API_URL set", served)):
        first, last = (statistics.median(one[index] for one in figures) for index in (0, 1))
        print(f"{name:<28}{first:>13.2f}s{last:>19.2f}s")


def _once(env: dict[str, str]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder, Simulator(latency=0.2) as sim:
        prompts = Path(folder) / "prompts.csv"
        prompts.write_text("prompt\n" + "".join(f"picture {number}\n" for number in range(10)), encoding="utf-8")
        out = ["--out", str(Path(folder) / "out"), "--provider", "simulator", "--base-url", sim.url, "-q"]
        began = time.time()
        subprocess.run([*COMMAND, str(prompts), *out], env=env, check=True, stdout=subprocess.DEVNULL)
        ended = time.time()
        times = [one.time for one in sim.requests]
        return times[0] - began, ended - (times[-1] + 0.2)


if __name__ == "__main__":
    main()
