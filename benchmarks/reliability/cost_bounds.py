"""Does what we say a job cost enclose what the service bills?

    python -m benchmarks.reliability.cost_bounds [ROWS=200]

Jobs against a service that fails at random and keeps a bill of its own, with walls that rise from run to run.
Of replies that it never gave it bills every second one, as a service might. After each run the bill must lie
within the summary's bounds and below the wall.
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
from imagen_batch.simulator.usage_log import Received

NANO = "gemini-nano-banana-2.1"
JOBS: dict[str, dict[str, Any]] = {
    "by the token": {"model": NANO},
    "by the picture": {"model": IMAGEN, "samples": 4},
}
# api: 7. Of the candidate's tokens those of the picture are dearer.
USD_PER_MILLION = {"promptTokenCount": 1.50, "candidatesTokenCount": 7.50, "thoughtsTokenCount": 7.50}
USD_MORE_FOR_IMAGE_TOKENS = 30.0 - 7.50
USD_PER_PICTURE = 0.04
ROUNDING = 1e-5
WORST_CALL = {NANO: 0.0351795, IMAGEN: 4 * USD_PER_PICTURE}

# 3 % each: replies that never came or came broken, and refusals. The last ones fit one dialect only.
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
ONE = {"by the token": ("finish_IMAGE_SAFETY", "text_only"), "by the picture": ("partial", "partial_silent")}
PERHAPS_MADE = {0, 408, 502, 504}  # statuses (0: none) that leave open whether pictures were made


class Till:
    """Adds up, for each exchange, what the service charges in USD."""

    def __init__(self) -> None:
        self.usd = 0.0
        self._lost = 0
        self._lock = threading.Lock()

    def __call__(self, received: Received, answer: Answer, status: int) -> None:
        """What went out is charged, whether or not it arrived; the simulator calls this for each reply."""
        with self._lock:
            if status == 200:
                self.usd += _price(orjson.loads(answer.reply.body))
            elif status in PERHAPS_MADE:
                self._lost += 1
                self.usd += self._lost % 2 * WORST_CALL[NANO if NANO in received.path else IMAGEN]


def main() -> None:
    """Run each job with rising walls."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    laws = {}
    print(f"{'':<16}{'wall':>8}{'low':>10}{'bill':>10}{'high':>10}{'ok':>6}{'attempts':>10}{'exit':>6}")
    for name, chosen in JOBS.items():
        whole = rows * WORST_CALL[chosen["model"]]
        with tempfile.TemporaryDirectory() as folder, Simulator(faults=_rules(name)) as sim:
            till = _till(sim)
            source = prompt_file(Path(folder), rows)
            for wall in (whole / 4, whole / 2, 2 * whole):
                summary = job(source, sim.url, max_cost=wall, concurrency=16, **chosen).summary
                low, high = summary.cost_low_usd, summary.cost_high_usd or 0.0
                print(
                    f"{name:<16}{wall:>8.2f}{low:>10.4f}{till.usd:>10.4f}{high:>10.4f}"
                    f"{summary.counts['ok']:>6}{summary.attempts:>10}{summary.exit_code:>6}"
                )
                label = f"{name}, wall {wall:.2f}"
                laws[f"{label}: the bill is within the bounds"] = low - ROUNDING <= till.usd <= high + ROUNDING
                laws[f"{label}: the bill is below the wall"] = till.usd <= wall + ROUNDING
    close(laws)


def _rules(name: str) -> list[dict[str, Any]]:
    return [{"fault": fault, "probability": 0.03, "seed": 5} for fault in (*BOTH, *ONE[name])]


def _till(sim: Simulator) -> Till:
    """Put a till where the simulator would write its journal."""
    till, server = Till(), sim._server
    server.desk = replace(server.desk, journal=till)
    return till


def _price(reply: dict[str, Any]) -> float:
    pictures = sum("bytesBase64Encoded" in one for one in reply.get("predictions", ()))
    usage = reply.get("usageMetadata", {})
    tokens = sum(float(usage.get(name, 0)) * usd for name, usd in USD_PER_MILLION.items())
    details = usage.get("candidatesTokensDetails", ())
    dearer = sum(part["tokenCount"] for part in details if part["modality"] == "IMAGE")
    return pictures * USD_PER_PICTURE + (tokens + dearer * USD_MORE_FOR_IMAGE_TOKENS) / 1e6


if __name__ == "__main__":
    main()
