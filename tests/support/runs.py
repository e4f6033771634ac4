"""Whole runs for tests: real HTTP against a simulator, without Prefect."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.reports.summary import Summary
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.storage import open_storage

TODAY = date(2026, 11, 23)
IMAGEN = "imagen-4.0-generate-001"


@dataclass(frozen=True)
class FinishedRun:
    """The results of a run."""

    summary: Summary
    folder: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the manifest."""
        return list(pq.read_table(self.folder / "manifest.parquet").to_pylist())

    @property
    def statuses(self) -> list[str]:
        """Return the status of each sample, in input order."""
        return [row["status"] for row in self.rows]

    @property
    def failures(self) -> list[dict[str, str]]:
        """Return the rows of failures.csv."""
        with (self.folder / "failures.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def image(self, row: Mapping[str, Any]) -> bytes:
        """Return the image of a manifest row."""
        return (self.folder / row["file"]).read_bytes()


def manifest_rows(place: str | Path) -> list[dict[str, Any]]:
    """Return the rows of the manifest in a folder or a bucket."""
    return list(pq.read_table(open_storage(place).local("manifest.parquet")).to_pylist())


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    """Write a prompt file with the keys of the first row as its header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def prompts(folder: Path, *texts: str) -> Path:
    """Write a prompt file with only prompts."""
    return write_csv(folder / "prompts.csv", [{"prompt": text} for text in texts])


def run(source: Path, sim: Simulator | None, *, env: Mapping[str, str] | None = None, **chosen: Any) -> FinishedRun:
    """Run `source` against `sim` into a folder beside it, without waits between attempts."""
    folder = source.parent / "out"
    settings = {
        "prompts": str(source),
        "out": str(folder),
        "provider": "simulator",
        "base_url": sim.url if sim else None,
        "wait_initial": 0.0,
        "timeout": 20.0,
        "concurrency": 8,
        **chosen,
    }
    plan = make_plan(make_settings(settings), today=TODAY)
    with open_run(plan, env=env or {}) as opened:
        for stage in opened.stages():
            for shard in stage:
                opened.generate_shard(shard)
        return FinishedRun(opened.finish(), folder)
