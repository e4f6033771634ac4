"""Writes finished runs to export, without a service: the tables are the program's own, the images are drawn here."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from imagen_batch.records import ManifestRow
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.storage import Folder
from tests.support.entries import entry

HOSTILE = (
    "<script>alert(1)</script> & \"quotes\" 'single' {braces} ${x} {{y}}",
    '=HYPERLINK("http://x","y")',
    "right \u202e to left \u2066 מימין לשמאל \u200f",
    "controls \x01 \x1b[31m red \x7f and\nlines\r\nof text\tend",
    "train/test: ../../etc/passwd",
    "None",
    "007",
    "水墨画の森 🦊 é",
    "long " * 30_000,
)


def draw_image(seed: int, *, size: tuple[int, int] = (64, 48), form: str = "PNG") -> bytes:
    """Return a small image, a different one for each seed."""
    dice = random.Random(seed)
    small = Image.frombytes("RGB", (8, 6), dice.randbytes(8 * 6 * 3))
    file = io.BytesIO()
    small.resize(size, Image.Resampling.BICUBIC).save(file, form)
    return file.getvalue()


def image_sample(row: int, data: bytes, *, mime_type: str = "image/png", **more: Any) -> tuple[ManifestRow, bytes]:
    """Return a sample and its image."""
    extension = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}[mime_type]
    number = more.get("number", 1)
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    facts = {
        "file": f"images/{row:06}_{number:02}_{row:08x}{extension}",
        "mime_type": mime_type,
        "width": width,
        "height": height,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "c2pa": False,
        "cost_usd": 0.04,
        "cost_is": "exact",
    }
    return entry(row, trace={"key": hashlib.sha256(f"{row} {number}".encode()).hexdigest()}, **(facts | more)), data


def write_run(
    folder: Path, samples: Iterable[tuple[ManifestRow, bytes | None]], *, user: tuple[str, ...] = ()
) -> Path:
    """Write a finished run with these samples, and return its folder."""
    with TableWriter(Folder(folder), user_columns=user, columns=("prompt", *user), provider="simulator") as tables:
        for sample, data in samples:
            tables.add(sample)
            if data is not None and sample.sample.file:
                path = folder / sample.sample.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
    return folder


def book(folder: Path, *, prompts: Iterable[str] = (), rows: int = 12, form: str = "PNG") -> Path:
    """Write a run with rows in three chapters, of which rows 5 and 10 were refused."""
    texts = [*prompts, *(f"a fox in scene {row}" for row in range(1, rows + 1))]
    mime_type = f"image/{form.lower()}"
    samples: list[tuple[ManifestRow, bytes | None]] = []
    for row, prompt in enumerate(texts, 1):
        user = {"chapter": str(row % 3 + 1), "page": str(row)}
        if row in {5, 10}:
            refusal = {"status": "filtered", "reason": "The prompt was refused.", "filter_category": "violence"}
            samples.append((entry(row, prompt=prompt, user=user, **refusal), None))
        else:
            samples.append(
                image_sample(row, draw_image(row, form=form), mime_type=mime_type, prompt=prompt, user=user)
            )
    return write_run(folder, samples, user=("chapter", "page"))


def set_columns(run: Path, columns: Mapping[str, list[Any] | None]) -> None:
    """Replace columns of a run's manifest; None removes a column, as in tables of earlier versions."""
    path = run / "manifest.parquet"
    table = pq.read_table(path)
    for name, values in columns.items():
        if name in table.column_names:
            table = table.drop_columns(name)
        if values is not None:
            table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)


def tree(folder: Path) -> dict[str, str]:
    """Return every file with the hash of its content."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(run: Path) -> list[dict[str, Any]]:
    """Return the manifest's rows that have an image."""
    return [row for row in pq.read_table(run / "manifest.parquet").to_pylist() if row["status"] == "ok"]
