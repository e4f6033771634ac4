"""Kills a run in an object store, and counts the storage operations for each image.

    python -m benchmarks.reliability.object_store [KILLS=10] [REQUESTS=300]

Uses a real S3 server on loopback in its own process. SIGKILLs a job that writes to s3:// at random moments, then
lets it finish and audits it. A kill may cost no more than the attempts in flight.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.support.jobs import close, job, prompt_file
from imagen_batch.audit.audit import audit
from imagen_batch.reports.summary import Summary
from imagen_batch.simulator import Simulator, read_stamp
from imagen_batch.storage import open_storage

CONCURRENCY = 8
LATENCY_S = 0.1
PRICE = 0.04
ROUNDING = 1e-5
PLACE = "s3://pictures/run"
CHOSEN = {"concurrency": CONCURRENCY, "price": PRICE, "model": "gemini-3.1-flash-image", "image_size": "512"}

SERVER = """
import boto3, sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://{}:{}".format(*server.get_host_and_port())
boto3.client("s3", endpoint_url=url).create_bucket(Bucket="pictures")
print(url, flush=True)
sys.stdin.read()
"""
_OPERATION = re.compile(rb'"(PUT|GET|HEAD|DELETE|POST) /pictures(\S*) HTTP')
_processes = multiprocessing.get_context("forkserver")


def main() -> None:
    """Kill the job, let it finish, audit it; then count the operations of a run without kills."""
    arguments = [int(argument) for argument in sys.argv[1:]]
    kills, requests = (*arguments, *(10, 300)[len(arguments) :])
    with tempfile.TemporaryDirectory() as name, _s3(Path(name) / "s3.log") as log:
        source = prompt_file(Path(name), requests)
        with Simulator(latency=LATENCY_S) as sim:
            killed = _kill_repeatedly(source, sim, kills)
            summary = job(source, sim.url, out=PLACE, **CHOSEN).summary
            checks = _check(summary, sim, killed, requests)
        with Simulator(latency=LATENCY_S) as sim:
            for when in ("a run without kills", "once more, with nothing to send"):
                before = _operations(log)
                job(source, sim.url, out=PLACE + "-undisturbed", **CHOSEN)
                _print_operations(_operations(log) - before, requests, when)
    close(checks)


@contextmanager
def _s3(log: Path) -> Iterator[Path]:
    """Run an S3 server that the environment names; yield the log file with its operations."""
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(keys)
    with log.open("wb") as noted:
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=noted, text=True
        )
        assert server.stdout is not None
        os.environ["AWS_ENDPOINT_URL"] = server.stdout.readline().strip()
        try:
            yield log
        finally:
            server.communicate()


def _kill_repeatedly(source: Path, sim: Simulator, kills: int) -> int:
    """Kill the job `kills` times, or until it ends by itself; return the number of kills."""
    moments = random.Random(5)
    for killed in range(kills):
        seen = len(sim.requests)
        life = _processes.Process(target=job, args=(source, sim.url), kwargs={"out": PLACE, **CHOSEN}, daemon=True)
        life.start()
        while len(sim.requests) == seen and life.is_alive():
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.6))
        life.kill()
        life.join()
        if life.exitcode == 0:
            return killed
        assert life.exitcode == -signal.SIGKILL, "the job ended by itself, with an error"
    return kills


def _operations(log: Path) -> Counter[str]:
    """Count the operations so far, by verb and kind of object."""
    found = _OPERATION.findall(log.read_bytes())
    return Counter(f"{verb.decode()} {_kind_of_object(path)}" for verb, path in found)


def _kind_of_object(path: bytes) -> str:
    if b"list-type" in path:
        return "list"
    return next((what for what in ("images", "ledger", "incoming", "lock") if what.encode() in path), "other")


def _print_operations(operations: Counter[str], requests: int, when: str) -> None:
    text = ", ".join(f"{count} {what}" for what, count in operations.most_common())
    print(f"{when}: {operations.total() / requests:.2f} operations an image ({text})")


def _check(summary: Summary, sim: Simulator, killed: int, requests: int) -> dict[str, bool]:
    storage, sent = open_storage(PLACE), {image.sha256 for image in sim.images if image.whole}
    rows = pq.read_table(storage.local("manifest.parquet")).to_pylist()
    right = sum(_is_correct(row, storage.read(row["file"]), sent) for row in rows if row["file"])
    low, high, billed = summary.cost_low_usd, summary.cost_high_usd or 0.0, sim.bill.total
    surplus, doubtful, found = billed - requests, round((high - low) / PRICE), audit(PLACE).findings
    print(f"{requests} requests, killed {killed} times, concurrency {CONCURRENCY}, latency {LATENCY_S:g} s")
    print(f"{'paid for, possibly charged by the summary':<44}{billed:>6}{doubtful:>6}")
    print(f"{'correct images':<44}{right:>6}")
    print(f"{'findings of an audit':<44}{len(found):>6} {' '.join(finding.detail for finding in found[:3])}")
    return {
        "every image is correct": right == requests,
        "a kill costs no more than the attempts in flight": surplus <= killed * CONCURRENCY,
        "each extra attempt is reported as possibly charged": surplus <= doubtful,
        "the bill is within the bounds": low - ROUNDING <= billed * PRICE <= high + ROUNDING,
        "the audit finds nothing": not found,
    }


def _is_correct(row: dict[str, Any], data: bytes, sent: set[str]) -> bool:
    digest, stamp = hashlib.sha256(data).hexdigest(), read_stamp(data)
    return digest == row["sha256"] and digest in sent and stamp["prompt"] == row["prompt"]


if __name__ == "__main__":
    main()
