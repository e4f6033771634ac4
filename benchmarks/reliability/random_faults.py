"""Checks that a job completes when 30 % of its attempts fail at random, in twelve ways.

    python -m benchmarks.reliability.random_faults [REQUESTS=1000] [MAX_ATTEMPTS=5]

Every sample must end with the correct image or a recorded cause, and no attempt may be wasted: with a share p of
failures and at most m attempts, a request takes (1 - p^m) / (1 - p) of them on average, where p is the actual share
in the simulator. A job that does not end in five minutes is killed and counts as hung.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.support.jobs import close, job, prompt_file, strays, wrong_images
from imagen_batch.simulator import Simulator

SHARE = 0.30
HUNG_AFTER_S = 300
TOLERANCE = 0.05
WAYS: dict[str, dict[str, Any]] = {
    "reset": {},
    "reset_midway": {},
    "wrong_length": {},
    "stall": {"seconds": 0.2},
    "cut_json": {},
    "bad_base64": {},
    "half_picture": {},
    "html_200": {},
    "internal_500": {},
    "bad_gateway_502": {},
    "overloaded_503": {},
    "quota_minute": {"delay": 0.05, "limit": 60_000},
}


def main() -> None:
    """Run the job and count its results."""
    arguments = [int(argument) for argument in sys.argv[1:]]
    requests, most = (*arguments, *(1000, 5)[len(arguments) :])
    watchdog = threading.Timer(HUNG_AFTER_S, _hung)
    watchdog.daemon = True
    watchdog.start()
    with tempfile.TemporaryDirectory() as name, Simulator(faults=_rules()) as sim:
        ran = job(prompt_file(Path(name), requests), sim.url, concurrency=32, max_attempts=most, wait_max=0.1)
        rows, counts, faults = ran.rows, ran.summary.counts, Counter(sim.stats["faults"])
        attempts, failed = len(sim.requests), faults.total()
        implied = requests * (1 - (failed / attempts) ** most) / (1 - failed / attempts)
        wrong, stray = wrong_images(ran, sim), strays(ran)
        causes = Counter(row["error"] for row in rows if row["status"] != "ok")
        print(f"{requests} requests, at most {most} attempts each, {ran.seconds:.1f} s")
        print(f"failed attempts   {failed:>6} of {attempts}, {failed / attempts:.1%}, in {len(faults)} ways")
        print(f"implied attempts  {implied:>6.0f}, {attempts / implied - 1:+.1%} were made")
        print(f"correct images    {counts['ok'] - len(wrong):>6}")
        print(f"without an image  {causes.total():>6}")
        for cause, count in causes.most_common():
            print(f"{'':<18}{count:>6} {cause}")
        close(
            {
                "every image is correct": not wrong,
                "every sample has an image or a cause": len(rows) == requests and None not in causes,
                "the failures explain the number of attempts": abs(attempts / implied - 1) <= TOLERANCE,
                "all twelve faults occurred": len(faults) == len(WAYS),
                "no file is without a row": not stray,
            }
        )


def _rules() -> list[dict[str, Any]]:
    """Use each fault for the same share of attempts: a rule only sees attempts that earlier rules did not take."""
    each = SHARE / len(WAYS)
    return [
        {"fault": name, "options": options, "probability": each / (1 - at * each), "seed": 11}
        for at, (name, options) in enumerate(WAYS.items())
    ]


def _hung() -> None:
    print(f"BROKEN: the job ends: it hung for {HUNG_AFTER_S} s", flush=True)
    os._exit(1)


if __name__ == "__main__":
    main()
