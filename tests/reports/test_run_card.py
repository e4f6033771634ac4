"""Tests that the dataset card of a run's own folder describes it to the hub and to people."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from imagen_batch.prompts.infer_column_types import ColumnType
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.storage import Folder
from tests.support.entries import entry

USER = {"year": ColumnType("int"), "note": ColumnType("text"), "a`b|c": ColumnType("text")}


def card(folder: Path, *, provider: str = "gemini", rows: int = 3) -> tuple[dict[str, object], str]:
    """Return the front matter and the text of the card of a run; its last row has no image."""
    with TableWriter(
        Folder(folder), user_columns=USER, columns=("prompt", *USER), provider=provider, batch_rows=500
    ) as tables:
        for row in range(1, rows):
            tables.add(entry(row, user={"year": "1908"}, cost_usd=0.04, cost_is="exact"))
        tables.add(entry(rows, status="filtered"))
    text = (folder / "README.md").read_text("utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(front, dict)
    return front, text


def test_the_card_has_the_fields_of_the_hub(tmp_path: Path) -> None:
    """Name, size and tags are known; the license is the publisher's decision."""
    front, _ = card(tmp_path / "willows")
    assert front["pretty_name"] == "willows"
    assert front["size_categories"] == ["n<1K"]
    assert front["tags"] == ["synthetic", "generated-images"]
    assert front["license"] == "unknown"
    assert front["configs"][0]["data_files"][0]["split"] == "train"  # type: ignore[index]


def test_the_size_is_that_of_the_images(tmp_path: Path) -> None:
    """Samples without an image do not count."""
    assert card(tmp_path / "a", rows=1000)[0]["size_categories"] == ["n<1K"]
    assert card(tmp_path / "b", rows=1001)[0]["size_categories"] == ["1K<n<10K"]


def test_features_prices_and_counts_are_in_the_text(tmp_path: Path) -> None:
    """The types are those of metadata.parquet."""
    _, text = card(tmp_path / "willows")
    assert "Images: 2 of 3 requested." in text
    assert "The images cost 0.08 USD to generate." in text
    assert "| `image` | image | service |" in text
    assert "| `width` | int64 | run |" in text
    assert "| `year` | int64 | prompt file |" in text
    assert "| `a'b/c` | string | prompt file |" in text


def test_a_rehearsal_names_no_price(tmp_path: Path) -> None:
    """The simulator's prices are not real."""
    _, text = card(tmp_path / "book-rehearsal", provider="simulator")
    assert "USD" not in text
    assert "**Made by a simulator**" in text


@pytest.mark.parametrize("name", ['a "b": [c]', "--- x", "#1 {y}", "水墨 🦊", "bad\udcff", "two\nlines", "`|`"])
def test_any_folder_name_is_one_value_of_one_line(name: str, tmp_path: Path) -> None:
    """Neither the YAML nor the Markdown breaks, and a later run still knows its own card."""
    for _ in range(2):
        front, text = card(tmp_path / name)
        assert set(front) == {"pretty_name", "license", "task_categories", "size_categories", "tags", "configs"}
        assert text.count("\n# ") == 2  # the mark in the YAML and the title
