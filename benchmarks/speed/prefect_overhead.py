"""Measures Prefect's share of a run's time.

    python -m benchmarks.speed.prefect_overhead [REQUESTS ...]      default 1000; the target is for 20000 (7 minutes)

Requests take one second, 50 at once, with tiny images. `imagen-batch run` with its own Prefect server and the same
job without Prefect run at the same time, so that a slow moment affects both. Times are from the command to its
exit.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.support.figures import Figure, report_and_exit
from benchmarks.support.processes import Cost, cost_of, run_command, write_prompts
from benchmarks.support.replay_server import Manner, replay

AT_ONCE, LATENCY_S = 50, 1.0
LIMIT, LIMIT_FROM = 0.03, 20_000
WITHOUT_PREFECT = "benchmarks.support.without_prefect"


def main() -> None:
    """Run both for each number of requests."""
    os.environ.pop("PREFECT_API_URL", None)
    numbers = [int(argument) for argument in sys.argv[1:]] or [1000]
    figures = []
    with tempfile.TemporaryDirectory() as place, replay(Manner(tiny=True, latency=LATENCY_S)) as service:
        _both(Path(place) / "first", service.url, AT_ONCE)  # makes Prefect's database
        for requests in numbers:
            with_it, without = _both(Path(place) / str(requests), service.url, requests)
            share = (with_it.seconds - without.seconds) / with_it.seconds
            print(
                f"{requests} requests: {with_it.seconds:.1f} s with Prefect, {without.seconds:.1f} s without",
                flush=True,
            )
            name = f"orchestration, {requests} requests"
            target, holds = (f"<= {LIMIT:.0%}", share <= LIMIT) if requests >= LIMIT_FROM else ("", None)
            figures.append(Figure(name, f"{share:.1%}", target, holds))
    report_and_exit(figures)


def _both(place: Path, url: str, requests: int) -> tuple[Cost, Cost]:
    source, other = (write_prompts(place / name, requests) for name in ("with", "without"))
    commands = (
        run_command(source, url, "--concurrency", str(AT_ONCE)),
        [sys.executable, "-m", WITHOUT_PREFECT, str(other), url, str(AT_ONCE)],
    )
    with ThreadPoolExecutor(2) as threads:
        with_it, without = threads.map(cost_of, commands)
    return with_it, without


if __name__ == "__main__":
    main()
