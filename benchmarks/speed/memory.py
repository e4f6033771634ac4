"""Measures the memory of 64 images in flight, and whether it grows with the number of images.

    python -m benchmarks.speed.memory [RUNS=3]

Compares the peak of `imagen-batch run` at concurrency 64 with images of 1.4 MB with that of a run of one image, which
loads the same libraries; median of the runs, in MB. 2,000 images may take as much as 500, plus the usual difference
between runs.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.support.figures import Figure, at_most, report_and_exit
from benchmarks.support.processes import cost_of, empty_images, prefect_server, run_command, write_prompts
from benchmarks.support.replay_server import replay

AT_ONCE = ("--concurrency", "64")
COUNTS = (1, 500, 2000)
MAX_MB = 200
NOISE_MB = 30  # runs of one kind differ by 20


def main() -> None:
    """Measure one, few and many in turn."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    peaks: dict[int, list[float]] = {count: [] for count in COUNTS}
    with tempfile.TemporaryDirectory() as place, prefect_server(), replay() as service:
        for run in range(runs):
            for count in COUNTS:
                source = write_prompts(Path(place) / f"{run} {count}", count)
                peaks[count].append(cost_of(run_command(source, service.url, *AT_ONCE)).peak_mb)
                empty_images(source.parent)
            print(*(f"{count}: {values[-1]:.0f} MB" for count, values in peaks.items()), flush=True)
    single, few, many = (statistics.median(values) for values in peaks.values())
    report_and_exit(
        [
            Figure("peak memory, one image", f"{single:.0f} MB"),
            at_most(f"memory above it, {COUNTS[1]} images", few - single, MAX_MB, " MB"),
            at_most(f"memory above it, {COUNTS[2]} images", many - single, MAX_MB, " MB"),
            at_most(f"memory of {COUNTS[2]} above {COUNTS[1]} images", many - few, NOISE_MB, " MB"),
        ]
    )


if __name__ == "__main__":
    main()
