"""Measures how much of a service's rate a run uses and how often it is refused.

    python -m benchmarks.reliability.quota_usage [REQUESTS=2000] [SCENARIO ...]

The service accepts 20 requests a second, at most 20 at once, and takes 200 ms for each; beyond that it answers 429
with RetryInfo. The scenarios differ in whether the run knows the rate, whether the 429 names it and whether it
halves midway. Each scenario takes at least REQUESTS / 20 seconds; the targets are for 2,000 requests.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.support.jobs import Ran, close, job, prompt_file
from imagen_batch.simulator import Simulator
from imagen_batch.simulator.api import error_bodies
from imagen_batch.simulator.api.http_reply_and_error_json import Reply
from imagen_batch.simulator.quota import Quota

RATE = 20
BURST = 20
LATENCY_S = 0.2
CHOSEN = {"concurrency": 64, "model": "gemini-3.1-flash-image", "image_size": "512"}


@dataclass(frozen=True)
class Scenario:
    """`least` and `refused` are the limits: ideal over actual time, 429s over attempts."""

    given: bool = False
    named: bool = True
    halves: bool = False
    least: float = 0.95
    refused: float = 0.02


SCENARIOS = {
    "found": Scenario(),
    "found-unnamed": Scenario(named=False),
    "given": Scenario(given=True, least=0.98, refused=0.0),
    "halving": Scenario(halves=True),
    "halving-unnamed": Scenario(named=False, halves=True),
}


def main() -> None:
    """Run the scenarios and print a line for each."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    checks = {}
    print(f"{requests} requests{'':<12}{'ideal':>8}{'actual':>8}{'used':>8}{'429s':>6}{'share':>8}{'right':>7}")
    for name in sys.argv[2:] or SCENARIOS:
        scenario = SCENARIOS[name]
        ran, refused = _run(scenario, requests)
        ideal, made = _ideal(scenario, requests), ran.summary.counts["ok"]
        used, share = ideal / ran.seconds, refused / ran.summary.attempts
        print(
            f"{name:<24}{ideal:>7.1f}s{ran.seconds:>7.1f}s{used:>8.1%}{refused:>6}{share:>8.2%}{made:>7}", flush=True
        )
        checks[f"{name}: at least {scenario.least:.0%} of the rate is used"] = used >= scenario.least
        checks[f"{name}: at most {scenario.refused:.0%} are refused"] = share <= scenario.refused
        checks[f"{name}: every image is made"] = made == requests
    close(checks)


def _run(scenario: Scenario, requests: int) -> tuple[Ran, int]:
    """Run the scenario; return the run and the number of 429s."""
    chosen: dict[str, Any] = {**CHOSEN, "requests_per_minute": RATE * 60 if scenario.given else None}
    with (
        tempfile.TemporaryDirectory() as name,
        Simulator(latency=LATENCY_S, requests_per_minute=RATE * 60, burst=BURST) as sim,
        nullcontext() if scenario.named else patch.object(error_bodies, "quota", _unnamed),
        _halving(sim, _until_half(requests)) if scenario.halves else nullcontext(),
    ):
        ran = job(prompt_file(Path(name), requests), sim.url, **chosen)
        return ran, sim.bill.attempts.get(429, 0)


def _ideal(scenario: Scenario, requests: int) -> float:
    """Return the seconds from the first request to the last reply if every token is used."""
    if not scenario.halves:
        return (requests - BURST) / RATE + LATENCY_S
    return _until_half(requests) + (requests - requests // 2) / (RATE / 2) + LATENCY_S


def _until_half(requests: int) -> float:
    """Return the seconds that half of the requests take at the full rate."""
    return (requests // 2 - BURST) / RATE


def _unnamed(_order: object, *, window: str, limit: int, delay: float) -> Reply:  # noqa: ARG001
    """Build a 429 that says how long to wait, but not which limit applies."""
    return error_bodies.resource_exhausted("Resource has been exhausted (e.g. check quota).", retry=delay)


@contextmanager
def _halving(sim: Simulator, after: float) -> Iterator[None]:
    """Halve the rate `after` seconds after the first request."""
    quota: Quota = sim._server.context.service.quota
    over = threading.Event()

    def watch() -> None:
        while not sim.requests and not over.wait(0.005):
            pass
        if not over.wait(after):
            quota.per_minute = RATE * 60 // 2

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
