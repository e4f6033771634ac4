"""Ways to damage the folder of a finished run, and the finding that an audit must then report."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from imagen_batch.audit.findings import Audit
from imagen_batch.audit.set_aside_and_restore import move_and_restore
from imagen_batch.storage import open_storage
from tests.support.images import with_chunk

STATE = ".imagen-batch"
PARQUET, CSV = "manifest.parquet", "manifest.csv"

Row = dict[str, Any]
ExpectedFinding = tuple[str, int | None, str | None]
"""Kind, row and file name of the finding that a damage must cause."""


def set_damaged_aside(audit: Audit, location: str | Path) -> None:
    """Move damaged images away and restore lost ones, as `--repair` does first. Raises FolderBusy."""
    storage = open_storage(location)
    with storage.hold_lock():
        move_and_restore(audit, storage)


class DamagedRun:
    """The folder of a run with one image per row, to be damaged. Rows count from 1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def rows(self) -> list[Row]:
        """Return the manifest as it was before any damage."""
        return list(pq.read_table(self.folder / PARQUET).to_pylist())

    def file(self, row: int) -> Path:
        """Return the image file of a row."""
        return self.folder / str(self.rows[row - 1]["file"])

    def incoming(self, row: int) -> Path:
        """Return the staged file of a row's image, before the ledger has its record."""
        return self.folder / STATE / "incoming" / f"{self.rows[row - 1]['key']}_1"

    def forget(self, row: int) -> None:
        """Remove the result of a row from the ledger."""
        key = self.rows[row - 1]["key"]
        for ledger in (self.folder / STATE / "ledger").iterdir():
            lines = ledger.read_bytes().splitlines(keepends=True)
            remaining = [
                line for line in lines if (record := orjson.loads(line))["key"] != key or record["t"] != "done"
            ]
            ledger.write_bytes(b"".join(remaining))

    def edit(self, name: str, change: Callable[[list[Row]], object]) -> None:
        """Change the rows of a manifest."""
        path = self.folder / name
        if name == PARQUET:
            table = pq.read_table(path)
            rows = table.to_pylist()
            change(rows)
            pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
            return
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        names = list(rows[0])
        change(rows)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    def relabel(self, name: str, number: int, **cells: object) -> ExpectedFinding:
        """Change cells of a row of a manifest."""
        self.edit(name, lambda rows: rows[number - 1].update(cells))
        return "mislabelled", number, name


def retouch(path: Path) -> None:
    """Add a chunk to an image: it stays complete, with other bytes."""
    path.write_bytes(with_chunk(path.read_bytes(), b"teXt", b"mine"))


def cut(path: Path) -> None:
    """Keep only the first half of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def gone(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Delete the image."""
    damaged.file(row).unlink()
    return "missing", row, damaged.file(row).name


def cut_off(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Truncate the image."""
    cut(damaged.file(row))
    return "truncated", row, damaged.file(row).name


def emptied(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Empty the file, as a power loss often does."""
    damaged.file(row).write_bytes(b"")
    return "truncated", row, damaged.file(row).name


def no_image(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Replace the image by something else."""
    damaged.file(row).write_bytes(b"<html>not found</html>")
    return "truncated", row, damaged.file(row).name


def bit_turned(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Flip a bit, which a PNG's checksum detects."""
    data = bytearray(damaged.file(row).read_bytes())
    data[len(data) // 2] ^= 1
    damaged.file(row).write_bytes(data)
    return "truncated", row, damaged.file(row).name


def retouched(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Edit the image."""
    retouch(damaged.file(row))
    return "edited", row, damaged.file(row).name


def renamed(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Rename the image: one damage, though one file is gone and another is new."""
    damaged.file(row).rename(damaged.file(row).with_name(f"best {row}.png"))
    return "missing", row, damaged.file(row).name


def other_extension(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Name a PNG like a JPEG."""
    damaged.file(row).rename(damaged.file(row).with_suffix(".jpg"))
    return "mislabelled", row, damaged.file(row).name


def notes(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Add a file of the user's own."""
    path = damaged.folder / "images" / f"{row}.txt"
    path.write_text("the otter is the best")
    return "foreign", None, path.name


def own_image(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Add an image of the user's own, in a folder of its own."""
    path = damaged.folder / "images" / "mine" / f"{row}.png"
    path.parent.mkdir(exist_ok=True)
    shutil.copyfile(damaged.folder / damaged.rows[5]["file"], path)
    retouch(path)
    path.write_bytes(path.read_bytes() + bytes(row))
    return "foreign", None, path.name


def copied(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Copy the image to a second name."""
    path = damaged.file(row).with_name(f"copy of {row}.png")
    shutil.copyfile(damaged.file(row), path)
    return "duplicated", None, path.name


def record_lost(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Remove the record, as when a power loss keeps the image but not the end of the ledger."""
    damaged.forget(row)
    return "unrecorded", row, damaged.file(row).name


def killed_before_record(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Leave the state of a kill after the image got its name, before its record."""
    damaged.forget(row)
    damaged.incoming(row).hardlink_to(damaged.file(row))
    return "unrecorded", row, damaged.incoming(row).name


def killed_before_name(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Leave the state of a kill when the image had only been received."""
    damaged.forget(row)
    damaged.file(row).rename(damaged.incoming(row))
    return "unrecorded", row, damaged.incoming(row).name


def all_lost(damaged: DamagedRun, row: int) -> ExpectedFinding:
    """Remove both image and record; the service may have charged for it."""
    damaged.forget(row)
    damaged.file(row).unlink()
    return "paid_undelivered", row, None


IMAGE_DAMAGE = (
    *(gone, cut_off, emptied, no_image, bit_turned, retouched, renamed, other_extension),
    *(notes, own_image, copied, record_lost, killed_before_record, killed_before_name, all_lost),
)
"""Each kind of damage affects the image of one row and no other."""

NEEDS_PAYMENT = {gone, cut_off, emptied, no_image, bit_turned, all_lost}
"""A repair can fix these kinds of damage only by paying again."""


def _removed(name: str) -> Callable[[DamagedRun], ExpectedFinding]:
    def damage(damaged: DamagedRun) -> ExpectedFinding:
        (damaged.folder / name).unlink()
        return "stale", None, name

    return damage


def _torn(damaged: DamagedRun) -> ExpectedFinding:
    cut(damaged.folder / PARQUET)
    return "stale", None, PARQUET


def _stale(name: str, change: Callable[[list[Row]], object]) -> Callable[[DamagedRun], ExpectedFinding]:
    def damage(damaged: DamagedRun) -> ExpectedFinding:
        damaged.edit(name, change)
        return "stale", None, name

    return damage


def _mislabelled(name: str, **cells: object) -> Callable[[DamagedRun], ExpectedFinding]:
    return lambda damaged: damaged.relabel(name, 2, **cells)


TABLE_DAMAGE: dict[str, Callable[[DamagedRun], ExpectedFinding]] = {
    "manifest removed": _removed(PARQUET),
    "manifest.csv removed": _removed(CSV),
    "metadata removed": _removed("metadata.parquet"),
    "failures removed": _removed("failures.csv"),
    "summary removed": _removed("summary.json"),
    "manifest torn": _torn,
    "a row removed": _stale(PARQUET, lambda rows: rows.pop(1)),
    "a row removed from the CSV": _stale(CSV, lambda rows: rows.pop(1)),
    "a row twice": _stale(PARQUET, lambda rows: rows.append(rows[1])),
    "a row too many": _stale(PARQUET, lambda rows: rows.append({**rows[1], "row": 7, "file": None})),
    "another status": _stale(PARQUET, lambda rows: rows[1].update(status="filtered")),
    "another hash": _mislabelled(PARQUET, sha256="0" * 64),
    "another type": _mislabelled(PARQUET, mimeType="image/webp"),
    "another file": _mislabelled(PARQUET, file="images/nowhere.png"),
    "another file in the CSV": _mislabelled(CSV, file="images/nowhere.png"),
    "another row": _mislabelled(PARQUET, row=70),
}
"""Each kind of damage affects one table and no image."""
