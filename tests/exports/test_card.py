"""Tests that the dataset card describes the export, and that no text of a prompt file can break it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from imagen_batch.exports.export import export
from imagen_batch.reports.tables.dataset_size_category import size_category
from tests.exports.runs import HOSTILE, book, rows_of, set_columns


def _front(text: str) -> dict[str, object]:
    front = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(front, dict)
    return front


@pytest.mark.parametrize("to", ["imagefolder", "parquet", "webdataset"])
def test_the_card_has_the_hub_fields_counts_models_prices_and_provenance(to: str, tmp_path: Path) -> None:
    """A reader of the dataset needs all of these."""
    run = book(tmp_path / "book")
    export(run, to=to, out=tmp_path / "o", split="train=0.5,test=0.5", title="Willows: plates", license="cc-by-4.0")
    text = (tmp_path / "o" / "README.md").read_text("utf-8")
    front = _front(text)
    assert front["pretty_name"] == "Willows: plates"
    assert front["license"] == "cc-by-4.0"
    assert front["size_categories"] == ["n<1K"]
    assert "synthetic" in front["tags"]  # type: ignore[operator]
    assert [part["split"] for part in front["configs"][0]["data_files"]] == ["test", "train"]  # type: ignore[index]
    assert "10 images (10 png)." in text
    assert "| gemini-nano-banana-2.1 | 10 |" in text
    assert "0.40 USD to generate, 0.0400 USD each." in text
    assert "- filtered: 2" in text
    assert "0 of 10 images carry C2PA" in text
    assert "**Drawn by a simulator**" in text
    assert "The simulator charges nothing; the images would cost" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_title_stays_one_value_of_one_line(text: str, tmp_path: Path) -> None:
    """Neither the YAML nor the Markdown breaks."""
    run = book(tmp_path / "book")
    set_columns(run, {text[:200]: ["x"] * 12})
    export(run, to="imagefolder", out=tmp_path / "o", title=text[:500], license=text[:500])
    card = (tmp_path / "o" / "README.md").read_text("utf-8")
    assert set(_front(card)) == {"pretty_name", "license", "task_categories", "size_categories", "tags", "configs"}
    assert len(rows_of(run)) == 10


def test_size_categories_are_those_of_the_hub() -> None:
    """Each limit belongs to the next category."""
    assert [size_category(count) for count in (1, 999, 1000, 99_999, 100_000, 10**6)] == [
        "n<1K",
        "n<1K",
        "1K<n<10K",
        "10K<n<100K",
        "100K<n<1M",
        "1M<n<10M",
    ]
