"""Checks that the stated cost bounds of a job contain the service's bill.

    python -m benchmarks.reliability.cost_bounds [ROWS=200]

Runs jobs against a service that fails at random and keeps its own bill, with limits that rise from run to run.
The service bills every second reply that it did not send, as a real one might. After each run the bill must be
within the summary's bounds and below the limit.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from benchmarks.support.jobs import IMAGEN, close, job, prompt_file
from imagen_batch.simulator import Simulator
from imagen_batch.simulator.service import Answer
from imagen_batch.simulator.usage_log import ReceivedRequest

NANO = "gemini-nano-banana-2.1"
JOBS: dict[str, dict[str, Any]] = {
    "by the token": {"model": NANO},
    "by the image": {"model": IMAGEN, "samples": 4},
}
# (api: 7). Image tokens of the candidate cost more.
USD_PER_MILLION = {"promptTokenCount": 1.50, "candidatesTokenCount": 7.50, "thoughtsTokenCount": 7.50}
USD_MORE_FOR_IMAGE_TOKENS = 30.0 - 7.50
USD_PER_IMAGE = 0.04
ROUNDING = 1e-5
WORST_CALL = {NANO: 0.0351795, IMAGEN: 4 * USD_PER_IMAGE}

# 3 % each: missing or broken replies, and refusals. The last ones exist in one dialect only.
BOTH = (
    "reset",
    "reset_midway",
    "wrong_length",
    "cut_json",
    "bad_base64",
    "half_picture",
    "timeout_408",
    "bad_gateway_502",
    "deadline_504",
    "internal_500",
    "overloaded_503",
    "prompt_refused_400",
)
ONE = {"by the token": ("finish_IMAGE_SAFETY", "text_only"), "by the image": ("partial", "partial_silent")}
POSSIBLY_MADE = {0, 408, 502, 504}  # statuses (0: none) that do not tell whether images were made


class BillCounter:
    """Adds up what the service charges in USD for each exchange."""

    def __init__(self) -> None:
        self.usd = 0.0
        self._lost = 0
        self._lock = threading.Lock()

    def __call__(self, received: ReceivedRequest, answer: Answer, status: int) -> None:
        """Charge for a sent reply, whether or not it arrived; the simulator calls this for each reply."""
        with self._lock:
            if status == 200:
                self.usd += _price(orjson.loads(answer.reply.body))
            elif status in POSSIBLY_MADE:
                self._lost += 1
                self.usd += self._lost % 2 * WORST_CALL[NANO if NANO in received.path else IMAGEN]


def main() -> None:
    """Run each job with rising limits."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    checks = {}
    print(f"{'':<16}{'limit':>8}{'low':>10}{'bill':>10}{'high':>10}{'ok':>6}{'attempts':>10}{'exit':>6}")
    for name, chosen in JOBS.items():
        full_price = rows * WORST_CALL[chosen["model"]]
        with tempfile.TemporaryDirectory() as folder, Simulator(faults=_rules(name)) as sim:
            counter = _count_bill(sim)
            source = prompt_file(Path(folder), rows)
            for limit in (full_price / 4, full_price / 2, 2 * full_price):
                summary = job(source, sim.url, max_cost=limit, concurrency=16, **chosen).summary
                low, high = summary.cost_low_usd, summary.cost_high_usd or 0.0
                print(
                    f"{name:<16}{limit:>8.2f}{low:>10.4f}{counter.usd:>10.4f}{high:>10.4f}"
                    f"{summary.counts['ok']:>6}{summary.attempts:>10}{summary.exit_code:>6}"
                )
                label = f"{name}, limit {limit:.2f}"
                checks[f"{label}: the bill is within the bounds"] = low - ROUNDING <= counter.usd <= high + ROUNDING
                checks[f"{label}: the bill is below the limit"] = counter.usd <= limit + ROUNDING
    close(checks)


def _rules(name: str) -> list[dict[str, Any]]:
    return [{"fault": fault, "probability": 0.03, "seed": 5} for fault in (*BOTH, *ONE[name])]


def _count_bill(sim: Simulator) -> BillCounter:
    """Count the bill in place of the simulator's journal."""
    counter, server = BillCounter(), sim._server
    server.context = replace(server.context, journal=counter)
    return counter


def _price(reply: dict[str, Any]) -> float:
    images = sum("bytesBase64Encoded" in item for item in reply.get("predictions", ()))
    usage = reply.get("usageMetadata", {})
    tokens = sum(float(usage.get(name, 0)) * usd for name, usd in USD_PER_MILLION.items())
    details = usage.get("candidatesTokensDetails", ())
    image_tokens = sum(part["tokenCount"] for part in details if part["modality"] == "IMAGE")
    return images * USD_PER_IMAGE + (tokens + image_tokens * USD_MORE_FOR_IMAGE_TOKENS) / 1e6


if __name__ == "__main__":
    main()
