"""Tests that the usual dataset library loads a run's folder, whatever other files are in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.storage import Folder
from tests.support.entries import entry

datasets = pytest.importorskip("datasets", reason="belongs to the extra `datasets`")
pytestmark = pytest.mark.filterwarnings("default")  # the library's own

USER = ("topic", "label", "image", "cover_file_name", "a.b", "split")
STRAY = (
    "summary.json",
    "summary.md",
    "gallery.html",
    ".imagen-batch/settings.json",
    ".imagen-batch/test.csv",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a run of twelve samples, every third without an image, into a folder named like a split."""
    run = tmp_path / "test-run"
    entries = [
        entry(
            row,
            status="ok" if row % 3 else "filtered",
            prompt=f"None, {row}",
            user=dict.fromkeys(USER, "007"),
            width=8,
            height=8,
        )
        for row in range(1, 13)
    ]
    with TableWriter(Folder(run), user_columns=USER, columns=("prompt", *USER), provider="simulator") as tables:
        for row in entries:
            tables.add(row)
            if row.sample.file:
                path = run / row.sample.file
                path.parent.mkdir(exist_ok=True)
                Image.new("RGB", (8, 8), (row.row.row, 0, 0)).save(path)
    for name in STRAY:
        path = run / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}", "utf-8")
    return run


@pytest.mark.parametrize("form", ["imagefolder", "folder"])
def test_every_image_is_loaded_with_its_prompt(folder: Path, form: str, tmp_path: Path) -> None:
    """Both usual ways to load a folder work."""
    cache = str(tmp_path / "cache")
    if form == "imagefolder":
        loaded = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=cache)
    else:
        loaded = datasets.load_dataset(str(folder), cache_dir=cache)
    assert list(loaded) == ["train"]
    assert [_facts(row) for row in loaded["train"]] == [
        ((row, 0, 0), f"None, {row}", "007", "007") for row in range(1, 13) if row % 3
    ]


def _facts(row: dict[str, Any]) -> tuple[object, ...]:
    return row["image"].getpixel((0, 0)), row["prompt"], row["topic"], row["cover_filename"]
