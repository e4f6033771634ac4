"""Checks that every attempt ends in time, however slowly its reply arrives.

    python -m benchmarks.reliability.slow_replies [AT_ONCE=32] [TIMEOUT=5]

Sends AT_ONCE requests to a service that sends its replies slowly or not at all. An attempt may take half a second
longer than its timeout.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.support.jobs import Ran, close, job, ledgers, prompt_file
from imagen_batch.simulator import Simulator

TOLERANCE_S = 0.5
WAYS: dict[str, dict[str, Any]] = {
    "body trickles": {"fault": "trickle", "options": {"seconds": 0.1, "bytes": 64}},
    "headers trickle": {"fault": "trickle", "options": {"seconds": 0.1, "bytes": 1, "headers": True}},
    "blanks without end": {"fault": "endless", "options": {"seconds": 0.1, "bytes": 16}},
    "silence": {"fault": "stall"},
}


def main() -> None:
    """Run each case and print how long the attempts took."""
    at_once = int(sys.argv[1]) if len(sys.argv) > 1 else 32
    timeout = float(sys.argv[2]) if len(sys.argv) > 2 else 5.0
    checks = {}
    print(f"{'':<20}{'attempts':>9}{'at once':>9}{'median':>9}{'longest':>9}{'all':>9}{'unknown':>9}")
    for name, rule in WAYS.items():
        ran, most, lasted = _run(rule, at_once, timeout)
        unknown = ran.summary.counts["unknown"]
        middle, longest = statistics.median(lasted), max(lasted)
        print(f"{name:<20}{len(lasted):>9}{most:>9}{middle:>8.2f}s{longest:>8.2f}s{ran.seconds:>8.2f}s{unknown:>9}")
        checks[f"{name}: each attempt ends in time"] = longest <= timeout + TOLERANCE_S
        # All requests start together, one probe may follow, then the run stops for an outage.
        checks[f"{name}: the run ends in time"] = ran.seconds <= 2 * (timeout + TOLERANCE_S)
        checks[f"{name}: every sample is reported as unknown"] = unknown == at_once
    close(checks)


def _run(rule: dict[str, Any], at_once: int, timeout: float) -> tuple[Ran, int, list[float]]:
    """Return the run, the most attempts in flight, and the seconds of each attempt."""
    with tempfile.TemporaryDirectory() as name, Simulator(faults=[rule]) as sim:
        ran = job(
            prompt_file(Path(name), at_once),
            sim.url,
            concurrency=at_once,
            requests_per_minute=60_000,  # with a rate given there is no ramp: all start at once
            timeout=timeout,
            outage_limit=0.000_001,  # nothing ever succeeds: one round is enough
        )
        return ran, int(sim.stats["in_flight_max"]), _lasted(ran.folder)


def _lasted(folder: Path) -> list[float]:
    """Return the seconds between the two records of each attempt."""
    records = [record for records in ledgers(folder) for record in records]
    sent = {record["key"]: record["at"] for record in records if record["t"] == "sent"}
    return [record["at"] - sent[record["key"]] for record in records if record["t"] == "back"]


if __name__ == "__main__":
    main()
