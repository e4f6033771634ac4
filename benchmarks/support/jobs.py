"""Runs jobs for the reliability tests, and inspects their folders.

A job runs without Prefect, in this process, against a simulator that the test controls.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.reports.summary import Summary
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator, read_stamp

IMAGEN = "imagen-4.0-generate-001"
_BEFORE_ITS_END = date(2026, 1, 1)  # Imagen is retired, but its dialect is still in use
_SHARDS_AT_ONCE = 4


@dataclass(frozen=True)
class Ran:
    """The result of a run. `seconds` is the time from its start until the last attempt ended."""

    summary: Summary
    folder: Path
    seconds: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the manifest."""
        return list(pq.read_table(self.folder / "manifest.parquet").to_pylist())


def prompt_file(folder: Path, count: int) -> Path:
    """Write a prompt file with `count` rows."""
    path = folder / "prompts.csv"
    path.write_text("prompt\n" + "".join(f"picture {number}\n" for number in range(count)), encoding="utf-8")
    return path


def job(source: Path, url: str, **chosen: Any) -> Ran:
    """Run `source` against the simulator at `url`, into `out` beside it unless `chosen` says where."""
    folder = source.parent / "out"
    settings = {"prompts": str(source), "out": str(folder), "provider": "simulator", "base_url": url}
    plan = make_plan(make_settings({**settings, "wait_initial": 0.01, **chosen}), today=_BEFORE_ITS_END)
    began = time.monotonic()
    with open_run(plan, env={}) as run, ThreadPoolExecutor(_SHARDS_AT_ONCE) as window:
        list(window.map(run.generate_shard, run.shards()))
        seconds = time.monotonic() - began
        return Ran(run.finish(), Path(plan.settings.folder), seconds)


def wrong_images(ran: Ran, sim: Simulator) -> list[str]:
    """Return the images that are not, byte for byte, what the simulator sent for their prompt."""
    sent = {image.sha256 for image in sim.images if image.whole}
    return [row["file"] for row in ran.rows if row["status"] == "ok" and not _is_correct(row, ran.folder, sent)]


def strays(ran: Ran) -> list[str]:
    """Return the files that are in no row of the manifest: unnamed images, temporary files."""
    known = {row["file"] for row in ran.rows if row["file"]}
    state = ran.folder / ".imagen-batch"
    places = (ran.folder / "images", state / "incoming", state / "rescued")
    images = {_relative(path, ran) for place in places for path in place.rglob("*") if path.is_file()}
    return sorted(images - known) + [_relative(path, ran) for path in ran.folder.rglob(".*.part")]


def ledgers(folder: Path) -> list[list[dict[str, Any]]]:
    """Return the records of each ledger file, oldest file first, without using the reader under test."""
    paths = sorted((folder / ".imagen-batch" / "ledger").glob("*.jsonl"))
    return [[orjson.loads(line) for line in path.read_bytes().rpartition(b"\n")[0].splitlines()] for path in paths]


def close(checks: Mapping[str, bool]) -> None:
    """Print the checks that failed and exit, with 1 if there is one."""
    failed = [check for check, holds in checks.items() if not holds]
    print(
        *(f"FAILED: {check}" for check in failed),
        f"{len(checks) - len(failed)} of {len(checks)} checks passed",
        sep="\n",
    )
    sys.exit(bool(failed))


def _is_correct(row: Mapping[str, Any], folder: Path, sent: set[str]) -> bool:
    path = folder / row["file"]
    if not path.is_file():
        return False
    data = path.read_bytes()
    digest, stamp = hashlib.sha256(data).hexdigest(), read_stamp(data)
    as_sent = digest == row["sha256"] and digest in sent
    return as_sent and (stamp["prompt"], stamp["sample"]) == (row["prompt"], row["sample"])


def _relative(path: Path, ran: Ran) -> str:
    return path.relative_to(ran.folder).as_posix()
