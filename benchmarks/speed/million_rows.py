"""Measures planning, resuming and table writing for up to a million rows.

    python -m benchmarks.speed.million_rows [ROWS=1000 10000 100000 1000000 ...]

For each number a finished run is created, with a ledger of the real writer and tiny files as images. It is then
resumed without Prefect in a process that reports the time of its parts and its peak memory, and by `imagen-batch
run` with a running Prefect server. `again` is the same command once more, which finds its tables current. The first
number is the baseline for memory and start-up. A million rows take 5
GB of disk, since each file takes a block, and 5 minutes.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from benchmarks.support.figures import Figure, at_most, report_and_exit
from benchmarks.support.processes import cost_of, prefect_server, run_command

ROWS = (1_000, 10_000, 100_000, 1_000_000)
UNREACHABLE_URL = "http://127.0.0.1:9"  # a request sent there would fail and appear in the summary
PROMPT = "a mole and a rat in a blue rowing boat on a calm river, ink and watercolor, number"
TODAY = date(2026, 11, 24)

MAX_SECONDS = {10_000: 1.0, 1_000_000: 40.0}  # the first beyond start-up
MAX_MB = 400
MAX_REPEATED_S = 2.0
PARTS = ("read, plan", "ledger", "left", "tables, summary")


def main() -> None:
    """Measure each number of rows."""
    chosen = [int(text) for text in sys.argv[1:]] or ROWS
    print(
        f"{'rows':>9}"
        + "".join(f"{part:>17}" for part in PARTS)
        + f"{'sum':>9}{'rows/s':>9}{'MB above':>10}{'command':>9}{'again':>7}"
    )
    figures: list[Figure] = []
    base_mb = base_seconds = 0.0
    with prefect_server():
        for rows in chosen:
            with tempfile.TemporaryDirectory() as place:
                parts, peak_mb, seconds, again = _measure(Path(place), rows)
            base_mb, base_seconds = base_mb or peak_mb, base_seconds or seconds
            cells = "".join(f"{parts[part]:>16.2f}s" for part in PARTS)
            whole = sum(parts.values())
            print(
                f"{rows:>9}{cells}{whole:>8.2f}s{rows / whole:>9.0f}{peak_mb - base_mb:>10.0f}"
                f"{seconds:>8.2f}s{again:>6.2f}s",
                flush=True,
            )
            figures += _figures(rows, seconds, seconds - base_seconds, peak_mb - base_mb)
            figures.append(at_most(f"a run of {rows:,} rows with current tables", again, MAX_REPEATED_S, " s"))
    report_and_exit(figures)


def _figures(rows: int, seconds: float, beyond: float, more_mb: float) -> list[Figure]:
    """Return the figures of one number of rows, with their targets."""
    name, most = f"resume of {rows:,} finished rows", MAX_SECONDS.get(rows)
    if most is None:
        return [Figure(name, f"{seconds:.2f} s")]
    if rows < max(MAX_SECONDS):
        return [at_most(f"{name}, beyond start-up", beyond, most, " s")]
    return [at_most(name, seconds, most, " s"), at_most(f"{name}, memory above the first", more_mb, MAX_MB, " MB")]


def _measure(place: Path, rows: int) -> tuple[dict[str, float], float, float, float]:
    """Return the seconds of each part, the peak in MB, and the seconds of the whole command and of its repetition."""
    _run_child("make_run", place, rows)
    result = orjson.loads(_run_child("resume_run", place, rows))
    command = run_command(place / "prompts.csv", UNREACHABLE_URL)
    record = place / "out" / ".imagen-batch" / "current.json"
    commands = []
    for _ in range(3 if rows < max(MAX_SECONDS) else 1):
        record.unlink(missing_ok=True)
        commands.append(cost_of(command).seconds)
    again = min(cost_of(command).seconds for _ in range(3))
    return result["seconds"], result["peak_mb"], min(commands), again


def _run_child(function: str, place: Path, rows: int) -> bytes:
    """Run a function of this file in its own process; return what it prints."""
    command = [
        sys.executable,
        "-c",
        f"from benchmarks.speed import million_rows; million_rows.{function}({str(place)!r}, {rows})",
    ]
    return subprocess.run(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, check=True).stdout


def make_run(place: str, rows: int) -> None:
    """Create a prompt file, and beside it the folder of a finished run."""
    from imagen_batch.ledger.writer import LedgerWriter  # noqa: PLC0415 - only children import what takes memory
    from imagen_batch.planning.requests_and_shards import requests_for  # noqa: PLC0415

    source = Path(place) / "prompts.csv"
    with source.open("w", encoding="utf-8") as file:
        file.write("id,prompt,aspect_ratio,chapter\n")
        file.writelines(f'r{row},"{PROMPT} {row}",16:9,{row % 12}\n' for row in range(rows))
    plan = _plan(source)
    storage = _unflushed(Path(place) / "out")
    writer = LedgerWriter(storage, now=1_764_000_000.0)
    for order in plan.planned_rows():
        base = plan.index.row_key(order.row.row)
        for request in requests_for(order, base, range(1, order.samples + 1)):
            writer.record_sent(request, attempt=1, at=1_764_000_000.0)
            writer.record_result(request, *_result(request, storage.path))
    writer.close()


def resume_run(place: str, rows: int) -> None:
    """Resume that run, and print the time of its parts as JSON."""
    from imagen_batch.planning.pending import count_pending  # noqa: PLC0415
    from imagen_batch.runs.run import open_run  # noqa: PLC0415

    seconds: dict[str, float] = {}
    with _timed(seconds, PARTS[0]):
        plan = _plan(Path(place) / "prompts.csv")
    opened = open_run(plan, env={})
    with _timed(seconds, PARTS[1]):
        run = opened.__enter__()
    with _timed(seconds, PARTS[2]):
        assert count_pending(plan, run.history).requests == 0
    with _timed(seconds, PARTS[3]):
        assert run.finish().counts["ok"] == rows
    opened.__exit__(None, None, None)
    print(orjson.dumps({"seconds": seconds, "peak_mb": _peak_mb()}).decode())


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[part] = time.monotonic() - began


def _peak_mb() -> float:
    """Return this program's peak; that of `getrusage` starts with the parent's."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _plan(source: Path) -> Any:
    from imagen_batch.planning.checking.make_plan import make_plan  # noqa: PLC0415
    from imagen_batch.settings import make_settings  # noqa: PLC0415

    folder = str(source.parent / "out")
    chosen = {"prompts": str(source), "out": folder, "provider": "simulator", "base_url": UNREACHABLE_URL}
    return make_plan(make_settings(chosen), today=TODAY)


def _unflushed(folder: Path) -> Any:
    """Return a folder whose ledger is not flushed with each record."""
    from imagen_batch.storage import Folder  # noqa: PLC0415

    class Log:
        def __init__(self, path: Path) -> None:
            self._file = path.open("wb")
            self.append, self.close = self._file.write, self._file.close

    class Unflushed(Folder):
        def log(self, name: str) -> Any:
            (self.path / name).parent.mkdir(parents=True)
            return Log(self.path / name)

        def sync(self, names: object) -> None:
            pass

    (folder / "images").mkdir(parents=True)
    return Unflushed(folder)


def _result(request: Any, folder: Path) -> tuple[Any, Any]:
    """Return samples and trace of a finished request, and write a file for each sample."""
    from imagen_batch.records import RequestTrace, SampleResult  # noqa: PLC0415

    samples = []
    for number, name in zip(request.numbers, request.names, strict=True):
        data = name.encode()
        (folder / f"{name}.png").write_bytes(data)
        facts = {"mime_type": "image/png", "width": 1376, "height": 768, "c2pa": False, "finish_reason": "STOP"}
        money = {"cost_usd": 0.0336, "cost_is": "exact"}
        digest = hashlib.sha256(data).hexdigest()
        samples.append(SampleResult(number, "ok", f"{name}.png", bytes=len(data), sha256=digest, **facts, **money))
    trace = RequestTrace(
        request.key, attempts=1, http_status=200, latency_s=1.0, sent_at=1.764e9, finished_at=1.764e9 + 1
    )
    return tuple(samples), trace


if __name__ == "__main__":
    main()
