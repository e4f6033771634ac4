"""Measures how much of a service's latency is hidden by many requests at once.

    python -m benchmarks.speed.latency_hiding [RUNS=3]

Makes 2,000 tiny images, 200 ms each, 64 at once, through `imagen-batch run` with Prefect. The figure is the time
that they would take with 64 always in flight, divided by the time from the first request to the last reply. Without
a given rate, as in most runs, the pace has to grow first; with one it starts at full speed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.support.figures import at_least, report_and_exit
from benchmarks.support.processes import cost_of, prefect_server, run_command, write_prompts
from benchmarks.support.replay_server import Manner, replay

IMAGES, AT_ONCE, LATENCY_S = 2000, 64, 0.2
IDEAL_S = IMAGES / AT_ONCE * LATENCY_S
MIN_SHARE = 0.93
WAYS = {"no rate given": (), "a high rate given": ("--requests-per-minute", "60000")}


def main() -> None:
    """Run both cases in turn."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    used: dict[str, list[float]] = {name: [] for name in WAYS}
    with (
        tempfile.TemporaryDirectory() as place,
        prefect_server(),
        replay(Manner(tiny=True, latency=LATENCY_S)) as service,
    ):
        for run in range(runs):
            for name, options in WAYS.items():
                source = write_prompts(Path(place) / f"{run} {name}", IMAGES)
                cost_of(run_command(source, service.url, "--concurrency", str(AT_ONCE), *options))
                used[name].append(IDEAL_S / service.tally().seconds)
    report_and_exit([at_least(f"latency hidden, {name}", statistics.median(used[name]), MIN_SHARE) for name in WAYS])


if __name__ == "__main__":
    main()
