"""Kills one of two Dask workers during a run, and checks cost and limits.

    python -m benchmarks.reliability.worker_loss [REQUESTS=400]

A real scheduler and two real worker processes on this machine; `imagen-batch run --runner dask` sends them shards.
Once a quarter of the images is made, one worker is killed with SIGKILL. Only its requests in flight may be paid for
again, and they must be reported as possibly charged. Together the workers may have no more in flight than a single
run, and with a given rate no request may be refused.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from benchmarks.support.jobs import Ran, close, prompt_file, strays, wrong_images
from imagen_batch.simulator import Simulator

CONCURRENCY = 8
SLOTS = 2  # of each worker
LATENCY_S = 0.3
PRICE = 0.04
PER_MINUTE = 1500
COMMAND = [str(Path(sys.executable).with_name("imagen-batch")), "run"]
CHOSEN = ["--price", str(PRICE), "--model", "gemini-3.1-flash-image", "--image-size", "512", "--json", "-q"]


def main() -> None:
    """Run the job, kill a worker, compare the result with the simulator's bill."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with (
        tempfile.TemporaryDirectory() as name,
        Simulator(latency=LATENCY_S, requests_per_minute=PER_MINUTE, burst=CONCURRENCY) as sim,
        _cluster(Path(name)) as (address, workers),
    ):
        source = prompt_file(Path(name), requests)
        run = subprocess.Popen([*COMMAND, str(source), *_asked(Path(name), sim, address)], stdout=subprocess.PIPE)
        _wait_until(lambda: sim.bill.total >= requests // 4)
        workers[0].send_signal(signal.SIGKILL)
        output, _ = run.communicate(timeout=300)
        _check(orjson.loads(output), run.returncode, Path(name) / "out", sim, requests)


def _asked(folder: Path, sim: Simulator, address: str) -> list[str]:
    where = ["--out", str(folder / "out"), "--provider", "simulator", "--base-url", sim.url]
    pace = ["--concurrency", str(CONCURRENCY), "--requests-per-minute", str(PER_MINUTE)]
    return [*CHOSEN, *where, *pace, "--runner", "dask", "--dask-address", address]


@contextmanager
def _cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and two workers; yield its address and the workers."""
    note = folder / "scheduler.json"
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(note)]
    with ExitStack() as stack, (folder / "dask.log").open("wb") as log:
        _start(["scheduler", *common, "--port", "0"], log, stack)
        _wait_until(note.exists)
        worker = ["worker", *common, "--no-nanny", "--nthreads", str(SLOTS)]
        workers = [_start(worker, log, stack) for _ in range(2)]
        yield orjson.loads(note.read_bytes())["address"], workers


def _start(words: list[str], log: Any, stack: ExitStack) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{words[0]}", *words[1:]],
        stdout=log,
        stderr=log,
        cwd=stack.enter_context(tempfile.TemporaryDirectory()),
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _wait_until(true: Any, seconds: float = 120.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "the condition did not become true in time"
        time.sleep(0.02)


def _check(summary: dict[str, Any], code: int, folder: Path, sim: Simulator, requests: int) -> None:
    ran = Ran(summary, folder, 0.0)  # type: ignore[arg-type] # only its folder is used
    billed, most = sim.bill.total, int(sim.stats["in_flight_max"])
    refused = sim.bill.attempts.get(429, 0)
    doubtful = round((summary["cost_high_usd"] - summary["cost_low_usd"]) / PRICE)
    right, stray = summary["samples"]["ok"] - len(wrong_images(ran, sim)), strays(ran)
    cut_off = sum(_cut_off(ledger) for ledger in (folder / ".imagen-batch").rglob("*.jsonl"))
    ledgers = [path.parent for path in (folder / ".imagen-batch" / "ledger").rglob("*/*/*.jsonl")]
    taken_over = len(ledgers) - len(set(ledgers))
    print(f"{requests} requests, two workers, one killed; concurrency {CONCURRENCY}, {PER_MINUTE} a minute")
    print(f"{'shards, and those that another worker took over':<50}{len(set(ledgers)):>6}{taken_over:>6}")
    print(f"{'correct images':<50}{right:>6}")
    print(f"{'paid for, possibly charged by the summary':<50}{billed:>6}{doubtful:>6}")
    print(f"{'sent by the dead worker, and cut off':<50}{cut_off:>6}")
    print(f"{'most in flight at once':<50}{most:>6}")
    print(f"{'refused over the rate':<50}{refused:>6}")
    print(f"{'files without a row':<50}{len(stray):>6}")
    close(
        {
            "the run is completed": code == 0 and summary["samples"]["ok"] == requests,
            "every image is correct": right == requests,
            "the dead worker's shards were taken over": taken_over > 0,
            "only its requests in flight are paid for again": billed - requests <= cut_off <= CONCURRENCY,
            "they are reported as possibly charged": billed - requests <= doubtful,
            "no more is in flight than in a single run": most <= CONCURRENCY,
            "no request exceeds the rate": refused == 0,
            "no file is without a row": not stray,
        }
    )


def _cut_off(ledger: Path) -> int:
    """Count the attempts in a ledger without a final record."""
    records = [orjson.loads(line) for line in ledger.read_bytes().rpartition(b"\n")[0].splitlines()]
    ended = {(record["key"], record["attempt"]) for record in records if record["t"] in {"back", "done"}}
    return sum(record["t"] == "sent" and (record["key"], record["attempt"]) not in ended for record in records)


if __name__ == "__main__":
    os.environ.setdefault("PREFECT_HOME", str(Path(".prefect").resolve()))
    main()
