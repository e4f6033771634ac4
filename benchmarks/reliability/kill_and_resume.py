"""What does a job cost that is killed again and again, and is anything lost or half there?

    python -m benchmarks.reliability.kill_and_resume [KILLS=200] [REQUESTS=400]

SIGKILLs a job at random moments, over one run and its restarts, then lets it finish. A kill may cost no more
than the attempts that were under way: in the service's hands, or answered so shortly before that the picture can't
be on disk yet. Each of them must be on the high side of the bill, and every picture right.
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

from benchmarks.support.jobs import Ran, close, job, ledgers, prompt_file, strays, wrong_pictures
from imagen_batch.simulator import Simulator

CONCURRENCY = 4
LATENCY_S = 0.1
PRICE = 0.04
ROUNDING = 1e-5
TO_DISK_S = 0.02  # a reply may take so long from the service to its record on disk
CHOSEN = {"concurrency": CONCURRENCY, "price": PRICE, "model": "gemini-3.1-flash-image", "image_size": "512"}
BOOT_S = 0.15  # of a process, until its first request
LIFE_S = 0.18  # at most, from then on: a life makes less than two pictures on average

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["imagen_batch.runs.run", "pyarrow.parquet"])  # so a new process soon works


@dataclass(slots=True)
class Toll:
    """How many kills there were, and what they met, as the service saw it."""

    kills: int = 0
    in_service: int = 0  # attempts not answered yet
    on_the_way: int = 0  # answered a moment ago


def main() -> None:
    """Kill, let it finish, compare with the simulator's bill."""
    given = [int(argument) for argument in sys.argv[1:]]
    kills, requests = (*given, *(200, 400)[len(given) :])
    with tempfile.TemporaryDirectory() as name, Simulator(latency=LATENCY_S) as sim:
        source = prompt_file(Path(name), requests)
        toll = _killed(source, sim, kills, _answers(sim))
        _judge(job(source, sim.url, **CHOSEN), sim, toll, requests)


def _answers(sim: Simulator) -> deque[float]:
    """The moments of the latest answers, noted where the simulator would write its journal."""
    moments: deque[float] = deque(maxlen=100)
    server = sim._server
    server.desk = replace(server.desk, journal=lambda *_exchange: moments.append(time.monotonic()))
    return moments


def _killed(source: Path, sim: Simulator, kills: int, answers: deque[float]) -> Toll:
    """Kill the job so often, or until it ends by itself."""
    moments, toll = random.Random(3), Toll()
    while toll.kills < kills:
        life = _processes.Process(target=job, args=(source, sim.url), kwargs=CHOSEN, daemon=True)
        seen = len(sim.requests)
        life.start()
        _wait(life, sim, seen, moments)
        before = time.monotonic() - TO_DISK_S
        life.kill()
        in_service = sim._tally.in_flight
        on_the_way = sum(moment >= before for moment in tuple(answers))
        life.join()
        if life.exitcode == 0:
            break
        assert life.exitcode == -signal.SIGKILL, "the job ended by itself, with an error"
        toll.kills += 1
        toll.in_service += in_service
        toll.on_the_way += on_the_way
    return toll


def _wait(life: BaseProcess, sim: Simulator, seen: int, moments: random.Random) -> None:
    """One life in eight ends while it opens the folder, the others after their first request."""
    if moments.random() < 1 / 8:
        time.sleep(moments.uniform(0, BOOT_S))
        return
    while len(sim.requests) == seen and life.is_alive():
        time.sleep(0.001)
    time.sleep(moments.uniform(0, LIFE_S))


def _judge(ran: Ran, sim: Simulator, toll: Toll, requests: int) -> None:
    summary = ran.summary
    answered = sum(sim.bill.attempts.values())
    surplus, lost = answered - requests, _without_record(ran.folder)
    low, high = summary.cost_low_usd, summary.cost_high_usd or 0.0
    doubtful, billed = round((high - low) / PRICE), sim.bill.total * PRICE
    right, stray = summary.counts["ok"] - len(wrong_pictures(ran, sim)), strays(ran)
    print(f"{toll.kills} kills, {requests} requests, concurrency {CONCURRENCY}, latency {LATENCY_S:g} s")
    print(f"{'attempts that the service answered':<44}{answered:>6}, {surplus} more than requests")
    print(f"{'in the service at the kills':<44}{toll.in_service:>6}")
    print(f"{f'answered in the last {TO_DISK_S * 1000:g} ms before them':<44}{toll.on_the_way:>6}")
    print(f"{'sent and without a record at the kills':<44}{sum(lost):>6}, at most {max(lost)} at once")
    print(f"{'maybe charged, says the summary':<44}{doubtful:>6}")
    print(f"{'bill':<44}{billed:>6.2f}, the summary says {low:.2f} to {high:.2f}")
    print(f"{'right pictures':<44}{right:>6}")
    print(f"{'files of no row':<44}{len(stray):>6} {' '.join(stray[:3])}")
    close(
        {
            "a kill costs no more than what was under way": surplus <= toll.in_service + toll.on_the_way,
            "what has a record is not sent again": surplus <= sum(lost),
            "no more is under way than the concurrency allows": max(lost) <= CONCURRENCY,
            "each surplus attempt is told as maybe charged": surplus <= doubtful,
            "no picture is booked twice": round(low / PRICE) == requests,
            "the bill is within the bounds": low - ROUNDING <= billed <= high + ROUNDING,
            "every picture is right": right == requests,
            "no file is there without a row": not stray,
        }
    )


def _without_record(folder: Path) -> list[int]:
    """For each life how many attempts it left without a word about their end."""
    counts = []
    for records in ledgers(folder):
        ended = {(one["key"], one["attempt"]) for one in records if one["t"] != "sent"}
        counts.append(sum(one["t"] == "sent" and (one["key"], one["attempt"]) not in ended for one in records))
    return counts


if __name__ == "__main__":
    main()
