"""Kills a job again and again, and checks its cost and its images.

    python -m benchmarks.reliability.kill_and_resume [KILLS=200] [REQUESTS=400]

SIGKILLs a job at random moments, over one run and its restarts, then lets it finish. A kill may cost no more than the
attempts in flight: those in the service, and those answered so shortly before that the image cannot be on disk yet.
Each of them must be in the upper bound of the bill, and every image must be correct.
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.support.jobs import Ran, close, job, ledgers, prompt_file, strays, wrong_images
from imagen_batch.simulator import Simulator

CONCURRENCY = 4
LATENCY_S = 0.1
PRICE = 0.04
ROUNDING = 1e-5
TO_DISK_S = 0.02  # the longest time from a reply to its record on disk
CHOSEN = {"concurrency": CONCURRENCY, "price": PRICE, "model": "gemini-3.1-flash-image", "image_size": "512"}
BOOT_S = 0.15  # of a process, until its first request
LIFE_S = 0.18  # at most, from then on: a life makes less than two images on average

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    ["imagen_batch.runs.run", "pyarrow.parquet"]
)  # so that a new process starts quickly


@dataclass(slots=True)
class KillCount:
    """The number of kills, and the attempts they interrupted, as seen by the service."""

    kills: int = 0
    in_service: int = 0  # attempts without a reply
    on_the_way: int = 0  # attempts answered a moment before


def main() -> None:
    """Kill the job, let it finish, compare it with the simulator's bill."""
    arguments = [int(argument) for argument in sys.argv[1:]]
    kills, requests = (*arguments, *(200, 400)[len(arguments) :])
    with tempfile.TemporaryDirectory() as name, Simulator(latency=LATENCY_S) as sim:
        source = prompt_file(Path(name), requests)
        kill_count = _kill_repeatedly(source, sim, kills, _record_reply_times(sim))
        _check(job(source, sim.url, **CHOSEN), sim, kill_count, requests)


def _record_reply_times(sim: Simulator) -> deque[float]:
    """Record the times of the latest replies in place of the simulator's journal."""
    moments: deque[float] = deque(maxlen=100)
    server = sim._server
    server.context = replace(server.context, journal=lambda *_exchange: moments.append(time.monotonic()))
    return moments


def _kill_repeatedly(source: Path, sim: Simulator, kills: int, answers: deque[float]) -> KillCount:
    """Kill the job `kills` times, or until it ends by itself."""
    moments, kill_count = random.Random(3), KillCount()
    while kill_count.kills < kills:
        life = _processes.Process(target=job, args=(source, sim.url), kwargs=CHOSEN, daemon=True)
        seen = len(sim.requests)
        life.start()
        _wait(life, sim, seen, moments)
        before = time.monotonic() - TO_DISK_S
        life.kill()
        in_service = sim._usage_log.in_flight
        on_the_way = sum(moment >= before for moment in tuple(answers))
        life.join()
        if life.exitcode == 0:
            break
        assert life.exitcode == -signal.SIGKILL, "the job ended by itself, with an error"
        kill_count.kills += 1
        kill_count.in_service += in_service
        kill_count.on_the_way += on_the_way
    return kill_count


def _wait(life: BaseProcess, sim: Simulator, seen: int, moments: random.Random) -> None:
    """Wait for the moment to kill: one time in eight during start-up, otherwise after the first request."""
    if moments.random() < 1 / 8:
        time.sleep(moments.uniform(0, BOOT_S))
        return
    while len(sim.requests) == seen and life.is_alive():
        time.sleep(0.001)
    time.sleep(moments.uniform(0, LIFE_S))


def _check(ran: Ran, sim: Simulator, kill_count: KillCount, requests: int) -> None:
    summary = ran.summary
    answered = sum(sim.bill.attempts.values())
    surplus, lost = answered - requests, _without_record(ran.folder)
    low, high = summary.cost_low_usd, summary.cost_high_usd or 0.0
    doubtful, billed = round((high - low) / PRICE), sim.bill.total * PRICE
    right, stray = summary.counts["ok"] - len(wrong_images(ran, sim)), strays(ran)
    print(f"{kill_count.kills} kills, {requests} requests, concurrency {CONCURRENCY}, latency {LATENCY_S:g} s")
    print(f"{'attempts that the service answered':<44}{answered:>6}, {surplus} more than requests")
    print(f"{'in the service at the kills':<44}{kill_count.in_service:>6}")
    print(f"{f'answered in the last {TO_DISK_S * 1000:g} ms before them':<44}{kill_count.on_the_way:>6}")
    print(f"{'sent and without a record at the kills':<44}{sum(lost):>6}, at most {max(lost)} at once")
    print(f"{'possibly charged, by the summary':<44}{doubtful:>6}")
    print(f"{'bill':<44}{billed:>6.2f}, the summary says {low:.2f} to {high:.2f}")
    print(f"{'correct images':<44}{right:>6}")
    print(f"{'files without a row':<44}{len(stray):>6} {' '.join(stray[:3])}")
    close(
        {
            "a kill costs no more than the attempts in flight": surplus
            <= kill_count.in_service + kill_count.on_the_way,
            "a recorded request is not sent again": surplus <= sum(lost),
            "no more is in flight than the concurrency allows": max(lost) <= CONCURRENCY,
            "each extra attempt is reported as possibly charged": surplus <= doubtful,
            "no image is counted twice": round(low / PRICE) == requests,
            "the bill is within the bounds": low - ROUNDING <= billed <= high + ROUNDING,
            "every image is correct": right == requests,
            "no file is without a row": not stray,
        }
    )


def _without_record(folder: Path) -> list[int]:
    """Count for each life the attempts that it left without a final record."""
    counts = []
    for records in ledgers(folder):
        ended = {(record["key"], record["attempt"]) for record in records if record["t"] != "sent"}
        counts.append(
            sum(record["t"] == "sent" and (record["key"], record["attempt"]) not in ended for record in records)
        )
    return counts


if __name__ == "__main__":
    main()
