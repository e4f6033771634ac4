"""Plans of small prompt files, and ledgers with results for their samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import RequestTrace, SampleResult
from imagen_batch.settings import make_settings
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request
from tests.support.runs import IMAGEN, TODAY, write_csv


def small_plan(
    folder: Path, rows: Sequence[Mapping[str, object]], *, today: date = TODAY, **chosen: object
) -> RunPlan:
    """Return the plan of a prompt file with these rows, whose run belongs into `folder/out`."""
    source = write_csv(folder / "book.csv", rows)
    values = {"prompts": str(source), "out": str(folder / "out"), "provider": "simulator", "model": IMAGEN}
    return make_plan(make_settings({**values, **chosen}), today=today)


def record_images(folder: Path, plan: RunPlan, *, finished_at: float = 10.5) -> list[list[str]]:
    """Record an image for every sample, each in its own file; return the files of each row."""
    storage = Folder(folder / "out")
    writer = LedgerWriter(storage, now=1.0)
    files = []
    for row, (base, samples) in enumerate(plan.index, 1):
        names = [f"images/{row}_{number}.png" for number in range(1, samples + 1)]
        for name in names:
            storage.put(name, b"image")
        results = tuple(ok(number, file=name, bytes=5) for number, name in enumerate(names, 1))
        _record(writer, row, base, results, finished_at)
        files.append(names)
    writer.close()
    return files


def record_result(
    folder: Path, base: str, *samples: SampleResult, finished_at: float = 10.5, now: float = 2.0
) -> None:
    """Record a result of one row in a new ledger."""
    storage = Folder(folder / "out")
    for sample in samples:
        if sample.file:
            storage.put(sample.file, b"image")
    writer = LedgerWriter(storage, now=now)
    _record(writer, 99, base, samples, finished_at)
    writer.close()


def history_of(folder: Path) -> History:
    """Return the history of the run in `folder/out`."""
    return read_history(folder / "out" / LEDGER)


def _record(writer: LedgerWriter, row: int, base: str, samples: tuple[SampleResult, ...], finished_at: float) -> None:
    owner = request(row, base=base)
    trace = RequestTrace(owner.key, attempts=1, http_status=200, sent_at=finished_at - 1, finished_at=finished_at)
    writer.record_result(owner, samples, trace)
