"""Checks how a run reacts to each kind of 429.

    python -m benchmarks.reliability.quota_errors [GOOD=40] [CONCURRENCY=16]

After GOOD replies the service answers every request with one of its error bodies. Temporary ones end after half a
second, before the run tries again; the others stay. After the first such body, the service may only receive
requests that were in flight already.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.support.jobs import Ran, close, job, ledgers, prompt_file
from imagen_batch.simulator import Simulator

LATENCY_S = 0.2
LIFTED_AFTER_S = 0.5
SHORTEST_HOLD_S = 0.9  # no request is sent again before that, whatever the body
MORE = 80  # requests beyond the good ones


@dataclass(frozen=True)
class Body:
    """A fault of the simulator, and the exit code it must lead to."""

    exit_code: int
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def passes(self) -> bool:
        """Return whether the run continues after a while."""
        return self.exit_code == 0


BODIES = {
    "quota_minute": Body(0, {"delay": 1.0, "limit": 6000}),
    "quota_spend": Body(0, {"delay": 1.0}),
    "quota_bare": Body(0),
    "quota_shared": Body(0),
    "quota_day": Body(75),
    "quota_day_short_delay": Body(75),
    "prepay_empty": Body(2),
    "free_tier_zero": Body(2),
}


def main() -> None:
    """Run a job for each body."""
    arguments = [int(argument) for argument in sys.argv[1:]]
    good, concurrency = (*arguments, *(40, 16)[len(arguments) :])
    checks = {}
    print(f"{'':<24}{'in flight':>10}{'answered after':>16}{'429s':>6}{'exit':>6}{'ok':>6}{'time':>8}  ended by")
    for name, body in BODIES.items():
        with tempfile.TemporaryDirectory() as folder, _simulator(name, body, good) as sim:
            ran = job(prompt_file(Path(folder), good + MORE), sim.url, concurrency=concurrency)
            in_flight, after = _around_the_first(ran)
            summary, refused = ran.summary, sim.bill.attempts.get(429, 0)
        said = (summary.stopped_by or "").partition(":")[0]
        print(
            f"{name:<24}{in_flight:>10}{after:>16}{refused:>6}{summary.exit_code:>6}{summary.counts['ok']:>6}"
            f"{ran.seconds:>7.1f}s  {said:.60}"
        )
        checks[f"{name}: no more is answered than was in flight"] = after <= in_flight
        checks[f"{name}: the exit code tells what to do"] = summary.exit_code == body.exit_code
        checks[f"{name}: no sample is given up"] = summary.counts["failed"] == summary.counts["unknown"] == 0
    close(checks)


@contextmanager
def _simulator(name: str, body: Body, good: int) -> Iterator[Simulator]:
    """Run a simulator that refuses after `good` replies, for a while or permanently."""
    rule = {"match": "*", "fault": name, "after": good, "options": body.options}
    over = threading.Event()

    def lift() -> None:
        while not over.wait(0.005):
            if sim.bill.attempts.get(429):
                over.wait(LIFTED_AFTER_S)
                sim._server.context.service.fault_rules.rules = ()
                return

    with Simulator(faults=[rule], latency=LATENCY_S) as sim:
        thread = threading.Thread(target=lift)
        if body.passes:
            thread.start()
        try:
            yield sim
        finally:
            over.set()
            if body.passes:
                thread.join()


def _around_the_first(ran: Ran) -> tuple[int, int]:
    """Count the attempts in flight at the first 429, and those that ended before a request could be sent again."""
    (records,) = ledgers(ran.folder)
    first = next(at for at, record in enumerate(records) if record.get("status") == 429)
    ended_before = sum(record["t"] != "sent" for record in records[:first])
    in_flight = first - 2 * ended_before - 1
    tried_again = records[first]["at"] + SHORTEST_HOLD_S
    ended = (record for record in records[first + 1 :] if record["t"] != "sent")
    later = [record for record in ended if record["at"] < tried_again]
    return in_flight, len(later)


if __name__ == "__main__":
    main()
