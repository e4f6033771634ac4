"""Measures how much of a service's latency is hidden by many requests at once.

    python -m benchmarks.speed.latency_hiding [RUNS=3]

Makes 2,000 tiny images, 200 ms each, 64 at once, through `imagen-batch run` with Prefect. The figure is the time
that they would take with 64 always in flight, divided by the time from the first request to the last reply. The first
run at a service has to find its pace, later ones start with the pace that it found, and one with a given rate starts
at full speed.
"""

from __future__ import annotations

import os
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
WAYS = {
    "first run at a service": (),
    "later runs": (),
    "a high rate given": ("--requests-per-minute", "60000"),
}


def main() -> None:
    """Run all ways in turn."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    used: dict[str, list[float]] = {name: [] for name in WAYS}
    with (
        tempfile.TemporaryDirectory() as place,
        prefect_server(),
        replay(Manner(tiny=True, latency=LATENCY_S)) as service,
    ):
        for run in range(runs):
            found_paces = {**os.environ, "XDG_STATE_HOME": str(Path(place, f"state {run}"))}
            for name, options in WAYS.items():
                source = write_prompts(Path(place) / f"{run} {name}", IMAGES)
                cost_of(run_command(source, service.url, "--concurrency", str(AT_ONCE), *options), env=found_paces)
                used[name].append(IDEAL_S / service.tally().seconds)
                print(f"{name:<24} {used[name][-1]:.3f}", flush=True)
    report_and_exit([at_least(f"latency hidden, {name}", statistics.median(used[name]), MIN_SHARE) for name in WAYS])


if __name__ == "__main__":
    main()
