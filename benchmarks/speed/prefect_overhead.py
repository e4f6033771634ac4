"""How much of a run's time is Prefect's?

    python -m benchmarks.speed.prefect_overhead [REQUESTS ...]      default 1000; the target is for 20000 (7 minutes)

Requests of one second, 50 at once, tiny pictures: `imagen-batch run` with a Prefect server of its own, and the same
job without Prefect at the same time, so that a slow moment is slow for both. From the command to its exit.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.support.figures import Figure, tell
from benchmarks.support.processes import Cost, cost_of, run_command, write_prompts
from benchmarks.support.replay_server import replay

AT_ONCE, LATENCY_S = 50, 1.0
MOST, MEANT_FOR = 0.03, 20_000
PLAIN = str(Path(__file__).with_name("plain.py"))


def main() -> None:
    """Both for each number of requests."""
    os.environ.pop("PREFECT_API_URL", None)
    numbers = [int(argument) for argument in sys.argv[1:]] or [1000]
    figures = []
    with tempfile.TemporaryDirectory() as place, replay(tiny=True, latency=LATENCY_S) as service:
        _both(Path(place) / "first", service.url, AT_ONCE)  # makes Prefect's database
        for requests in numbers:
            with_it, without = _both(Path(place) / str(requests), service.url, requests)
            share = (with_it.seconds - without.seconds) / with_it.seconds
            print(
                f"{requests} requests: {with_it.seconds:.1f} s with Prefect, {without.seconds:.1f} s without",
                flush=True,
            )
            name = f"orchestration, {requests} requests"
            target, holds = (f"<= {MOST:.0%}", share <= MOST) if requests >= MEANT_FOR else ("", None)
            figures.append(Figure(name, f"{share:.1%}", target, holds))
    tell(figures)


def _both(place: Path, url: str, requests: int) -> tuple[Cost, Cost]:
    source, other = (write_prompts(place / name, requests) for name in ("with", "without"))
    commands = (
        run_command(source, url, "--concurrency", str(AT_ONCE)),
        [sys.executable, PLAIN, str(other), url, str(AT_ONCE)],
    )
    with ThreadPoolExecutor(2) as threads:
        with_it, without = threads.map(cost_of, commands)
    return with_it, without


if __name__ == "__main__":
    main()
