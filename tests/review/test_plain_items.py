"""Tests that a page made of columns is the page made of items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.review import items_from_manifest, plain_items, with_thumbnails
from imagen_batch.review.gallery import build_gallery
from imagen_batch.review.page_data import ItemColumns, chunks
from imagen_batch.review.plain_items import has_one_version_each, read_plain_items
from imagen_batch.review.thumbnails import ExistingThumbnails
from tests.review.run_folders import HOSTILE, key_of, run_folder, write_manifest

TEXTS = st.sampled_from([None, "", "a fox", "狐 & <b>", *HOSTILE[:3]])
STATUSES = st.sampled_from(["ok"] * 9 + ["filtered", "failed"])
REMARKS = [{"warnings": "flat_color"}, {"review": "approved"}, {"error": "x"}]
USER = [pa.field("page", pa.int64(), metadata={b"imagen_batch.column": b"int"})]


@st.composite
def records(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw the rows of a manifest in order, most of them with an image and nothing else to say."""
    made = []
    for row in range(1, draw(st.integers(1, 9)) + 1):
        for sample in range(1, draw(st.integers(1, 4)) + 1):
            remarks = draw(
                st.sampled_from([{}] * 12 + [{"warnings": "flat_color"}, {"review": "approved"}, {"error": "x"}])
            )
            made.append(
                {
                    "row": row,
                    "sample": sample,
                    "status": draw(STATUSES),
                    "id": draw(TEXTS),
                    "file": draw(st.sampled_from([None, f"images/{row}_{sample}.png"])),
                    "sha256": draw(st.sampled_from([None, key_of(1), key_of(2)])),
                    "prompt": draw(TEXTS),
                    "input_prompt": draw(TEXTS),
                    "key": draw(st.sampled_from([None, key_of(row)])),
                    "version": draw(st.sampled_from([None, 1, 1, 2])),
                    "width": draw(st.sampled_from([None, 1024])),
                    "cost_usd": draw(st.sampled_from([None, 0.1, 0.25])),
                    "seed": draw(st.sampled_from([None, 7])),
                    "chapter": draw(TEXTS),
                    "page": draw(st.sampled_from([None, 3, 4])),
                    **remarks,
                }
            )
    return made


def thumbnail(folder: Path, key: str, content: bytes = b"webp") -> None:
    """Put a thumbnail of an image with this SHA-256 into the folder."""
    path = folder / f".imagen-batch/thumbs/{key[:2]}/{key[:24]}.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def never() -> bool:
    return False


@given(rows=records(), batch_rows=st.sampled_from([1, 3, 100]), first=st.integers(1, 6), limit=st.integers(1, 30))
def test_columns_and_items_give_the_same_page(
    *, rows: list[dict[str, Any]], batch_rows: int, first: int, limit: int
) -> None:
    """Chunk by chunk, with the thumbnails that exist."""
    with TemporaryDirectory() as place, patch.object(plain_items, "BATCH_ROWS", batch_rows):
        folder = write_manifest_with_pages(Path(place), rows)
        thumbnail(folder, key_of(1))
        thumbnail(folder, key_of(2), b"")
        manifest = folder / "manifest.parquet"
        assert has_one_version_each(manifest, limit=limit)
        items = list(with_thumbnails(items_from_manifest(folder, has_reviews=False), folder, may_make=never))[:limit]
        pieces = list(read_plain_items(folder, manifest, limit=limit, may_make=never))
    assert list(chunks(pieces, first=first, size=4)) == list(chunks(items, first=first, size=4))


def write_manifest_with_pages(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Write a manifest whose user columns are a text and a number."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    write_manifest(folder, rows)
    path = folder / "manifest.parquet"
    table = pq.read_table(path)
    pages = pa.array([row["page"] for row in rows], type=pa.int64())
    pq.write_table(table.append_column(USER[0], pages), path)
    return folder


def test_samples_with_an_image_are_read_as_columns(tmp_path: Path) -> None:
    """Otherwise the comparison above would compare items with themselves."""
    folder = run_folder(tmp_path, rows=4)
    pieces = list(read_plain_items(folder, folder / "manifest.parquet", limit=100, may_make=never))
    assert not any(isinstance(piece, ItemColumns) for piece in pieces)  # one was refused
    folder = run_folder(tmp_path / "sound", rows=1)
    (piece,) = read_plain_items(folder, folder / "manifest.parquet", limit=100, may_make=never)
    assert isinstance(piece, ItemColumns)
    assert len(piece) == 4


def test_thumbnails_are_made_until_the_time_is_over(tmp_path: Path) -> None:
    """Then the rest of the manifest is read as columns."""
    folder = run_folder(tmp_path, rows=1)
    answers: Iterator[bool] = iter([True] * 3)
    with patch.object(plain_items, "BATCH_ROWS", 2):
        pieces = list(
            read_plain_items(folder, folder / "manifest.parquet", limit=9, may_make=lambda: next(answers, False))
        )
    assert [isinstance(piece, ItemColumns) for piece in pieces] == [False, False, True]
    assert len(pieces[-1]) == 2


@pytest.mark.parametrize("change", [{"sample": 1}, {"row": 0}])
def test_a_sample_that_comes_twice_or_out_of_order_is_no_plain_one(tmp_path: Path, change: dict[str, int]) -> None:
    """Its versions are one item, so that all items are read one by one."""
    rows = [{"row": 1, "sample": sample, "status": "ok", "version": sample} for sample in (1, 2)]
    folder = write_manifest(tmp_path, [rows[0], {**rows[1], **change}])
    assert not has_one_version_each(folder / "manifest.parquet", limit=10)
    assert build_gallery(folder, has_reviews=False).items == (1 if "sample" in change else 2)


def test_a_folder_of_thumbnails_that_is_missing_or_emptied_has_none(tmp_path: Path) -> None:
    existing = ExistingThumbnails(tmp_path)
    assert existing.find(key_of(1)) is None
    assert existing.find(None) is None
    thumbnail(tmp_path, key_of(2))
    assert existing.find(key_of(2)) == f".imagen-batch/thumbs/{key_of(2)[:2]}/{key_of(2)[:24]}.webp"
    next(tmp_path.glob(".imagen-batch/thumbs/*/*.webp")).unlink()
    assert existing.find(key_of(2)) is None
