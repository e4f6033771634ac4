"""Reads the manifest's samples for the page: as items, and once no more thumbnails are made, as columns.

Samples with an image, without a warning and without a review, become columns of the page directly, with the same
content as the items that they would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imagen_batch.review.gallery_items import GalleryItem
from imagen_batch.review.manifest_items import BATCH_ROWS, as_text, item_of, shown_columns, user_fields
from imagen_batch.review.page_data import ItemColumns
from imagen_batch.review.thumbnails import ExistingThumbnails, with_thumbnails

_NO_VALUE: Final = ("warnings", "review", "raiFilteredReason", "error")
_NUMBERS: Final = ("row", "sample", "width", "height", "seed", "cost_usd")
_TEXTS: Final = ("id", "status", "file", "model", "provider")
_NEVER: Final = ("reason", "category", "advice", "decision", "edited_prompt", "note")

Piece = GalleryItem | ItemColumns


def has_one_version_each(manifest: Path, *, limit: int) -> bool:
    """Return whether no sample comes twice among the first ones, and all are in order."""
    rows, last = 0, (0, 0)
    with pq.ParquetFile(manifest) as file:
        if len(set(file.schema_arrow.names)) < len(file.schema_arrow.names):
            return False
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=["row", "sample"]):
            if any(column.null_count for column in batch.columns):
                return False
            samples = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
            if any(before >= after for before, after in pairwise([last, *samples])):
                return False
            rows, last = rows + len(samples), samples[-1]
            if rows >= limit:
                break
    return True


def read_plain_items(folder: Path, manifest: Path, *, limit: int, may_make: Callable[[], bool]) -> Iterator[Piece]:
    """Yield the first samples of a manifest in which none comes twice, with thumbnails, and without any decision.

    Once `may_make` is False, only thumbnails that exist are used.
    """
    with pq.ParquetFile(manifest) as file:
        user = user_fields(file.schema_arrow)
        columns = shown_columns(file.schema_arrow)
        batches = _first_rows(file.iter_batches(batch_size=BATCH_ROWS, columns=columns), limit)
        yield from with_thumbnails(_items_while(batches, user, may_make), folder, may_make=may_make)
        existing = ExistingThumbnails(folder)
        for batch in batches:
            if _is_plain(batch):
                yield _as_columns(batch, user, existing)
            else:
                yield from with_thumbnails(_items(batch, user), folder, may_make=lambda: False)


def _first_rows(batches: Iterator[pa.RecordBatch], limit: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.slice(0, limit)
        limit -= batch.num_rows
        if limit <= 0:
            return


def _items_while(
    batches: Iterator[pa.RecordBatch], user: Sequence[pa.Field], may_make: Callable[[], bool]
) -> Iterator[GalleryItem]:
    """Yield items as long as thumbnails may be made, and all items of the last batch."""
    while may_make() and (batch := next(batches, None)) is not None:
        yield from _items(batch, user)


def _items(batch: pa.RecordBatch, user: Sequence[pa.Field]) -> Iterator[GalleryItem]:
    return (item_of(record, user) for record in batch.to_pylist())


def _is_plain(batch: pa.RecordBatch) -> bool:
    """Return whether all samples have an image and nothing that is said about it."""
    names = batch.schema.names
    if any(batch.column(name).null_count < batch.num_rows for name in _NO_VALUE if name in names):
        return False
    return bool(pc.all(pc.fill_null(pc.equal(batch.column("status"), "ok"), fill_value=False)).as_py())


def _as_columns(batch: pa.RecordBatch, user: Sequence[pa.Field], existing: ExistingThumbnails) -> ItemColumns:
    nothing = [None] * batch.num_rows
    names = batch.schema.names

    def values(name: str) -> list[Any]:
        return batch.column(name).to_pylist() if name in names else nothing

    files, digests = values("file"), values("sha256")
    prompts = [prompt or "" for prompt in values("prompt")]
    own = zip(values("input_prompt"), prompts, strict=True)
    texts = {
        **dict.fromkeys(_NEVER, nothing),
        **{name: values(name) for name in _TEXTS},
        "key": [key or "" for key in values("key")],
        "thumbnail": [existing.find(digest) if file else None for file, digest in zip(files, digests, strict=True)],
        "prompt": prompts,
        "input_prompt": [text if text and text != prompt else None for text, prompt in own],
    }
    numbers = {
        **{name: values(name) for name in _NUMBERS},
        "version": [version or 1 for version in values("version")],
        "new_seed": nothing,
    }
    return ItemColumns(numbers, texts, {field.name: _texts_of(values(field.name), field) for field in user})


def _texts_of(cells: Sequence[Any], field: pa.Field) -> list[str | None]:
    known = {cell: as_text(cell, field) for cell in dict.fromkeys(cells)}
    return [known[cell] for cell in cells]
