"""Reads a run folder's manifest as gallery items, in its order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagen_batch.reports.tables.columns.typed_user_columns import cell_text
from imagen_batch.reports.tables.manifest import manifest_columns
from imagen_batch.review.decisions.ledger_items import LedgerItems, read_ledger_items
from imagen_batch.review.explain_no_image import advise, category_in_words
from imagen_batch.review.gallery_items import EarlierVersion, GalleryItem, ReviewDecision, parse_decision
from imagen_batch.review.review_csv import Decision

MANIFEST = "manifest.parquet"
_NEWER = ("version", "review", "warnings", "input_prompt", "references", "references_sha256")
_OURS = frozenset(column.name for column in manifest_columns(())) | frozenset(_NEWER)
_SHOWN = frozenset(
    {
        *("row", "id", "sample", "version", "key", "status", "file", "sha256", "width", "height", "cost_usd"),
        *("prompt", "input_prompt", "model", "provider", "seed", "warnings", "review"),
        *("raiFilteredReason", "error", "error_kind", "finishReason"),
        *("filter_category", "filter_codes", "filter_stage"),
    }
)
"""The columns that an item is made of; the others are not read."""
BATCH_ROWS = 2000

History = Mapping[tuple[int, int], Sequence[EarlierVersion]]
"""Earlier versions by row and sample, oldest first."""


def items_from_manifest(
    folder: Path,
    *,
    manifest: Path | None = None,
    decisions: Iterable[Decision] = (),
    history: History | None = None,
    has_reviews: bool = True,
) -> Iterator[GalleryItem]:
    """Yield each sample of the run, with its decision from `decisions`, else from the ledger or the manifest.

    `manifest` is the file, if it is not in `folder`. If the manifest has several versions of a sample, the newest
    becomes the item and the others its history. Without reviews the ledger is not read.
    """
    ledger = read_ledger_items(folder) if has_reviews else LedgerItems()
    new, known = _Decisions(ledger.unapplied(decisions)), _Decisions(ledger.decisions)
    rows = _rows(manifest or folder / MANIFEST)
    for (row, sample), versions in groupby(rows, key=lambda item: (item.row, item.sample)):
        *older, item = sorted(versions, key=lambda each: each.version)
        earlier = (*(history or {}).get((row, sample), ()), *map(_earlier, older))
        item = ledger.show_newest(replace(item, earlier=earlier) if earlier else item)
        decided = new.find(item) or known.find(item)
        yield _with_decision(item, decided) if decided else item


class _Decisions:
    """Finds an item's decision: by its key, else by its row number."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._all = {each.image: each for each in decisions}

    def find(self, item: GalleryItem) -> Decision | None:
        versions = (item.version, None)  # None means the current version
        names = [(owner, item.sample, version) for owner in (item.key, item.row) for version in versions]
        return next((self._all[name] for name in names if name in self._all), None)


def _with_decision(item: GalleryItem, decided: Decision) -> GalleryItem:
    return replace(
        item, decision=decided.decision, edited_prompt=decided.prompt, new_seed=decided.seed, note=decided.note
    )


def count_samples(manifest: Path) -> int:
    """Return the number of rows of a manifest, from its footer."""
    with pq.ParquetFile(manifest) as file:
        return int(file.metadata.num_rows)


def _rows(path: Path) -> Iterator[GalleryItem]:
    with pq.ParquetFile(path) as manifest:
        user, columns = user_fields(manifest.schema_arrow), shown_columns(manifest.schema_arrow)
        for batch in manifest.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            for record in batch.to_pylist():
                yield item_of(record, user)


def user_fields(schema: pa.Schema) -> list[pa.Field]:
    """Return the user's own columns, which come after all of ours, even those that a later version adds."""
    last = max((at for at, name in enumerate(schema.names) if name in _OURS), default=-1)
    return [schema.field(at) for at in range(last + 1, len(schema))]


def shown_columns(schema: pa.Schema) -> list[str]:
    """Return the columns that items are made of; the others are not read."""
    own = {field.name for field in user_fields(schema)}
    return [name for name in schema.names if name in _SHOWN or name in own]


def item_of(record: Mapping[str, Any], user: Sequence[pa.Field]) -> GalleryItem:
    """Return the item of a row of the manifest."""
    prompt = record.get("prompt") or ""
    own = record.get("input_prompt")
    return GalleryItem(
        row=record["row"],
        id=record.get("id"),
        sample=record["sample"],
        version=record.get("version") or 1,
        key=record.get("key") or "",
        status=record["status"],
        file=record.get("file"),
        sha256=record.get("sha256"),
        width=record.get("width"),
        height=record.get("height"),
        prompt=prompt,
        input_prompt=own if own and own != prompt else None,
        model=record.get("model"),
        provider=record.get("provider"),
        seed=record.get("seed"),
        reason=record.get("raiFilteredReason") or record.get("error"),
        category=category_in_words(record),
        advice=advise(record),
        warnings=_words(record.get("warnings")),
        cost_usd=record.get("cost_usd"),
        user={field.name: as_text(record.get(field.name), field) for field in user},
        decision=_known_decision(record.get("review")),
    )


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(word for word in re.split(r"[,;\s]+", value) if word)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def as_text(value: object, field: pa.Field) -> str | None:
    """Return the text of a cell of the user's; None where it is empty."""
    return None if value is None else cell_text(value, field)


def _known_decision(text: str | None) -> ReviewDecision | None:
    try:
        return parse_decision(text or "")
    except ValueError:  # a word of a later version
        return None


def _earlier(item: GalleryItem) -> EarlierVersion:
    return EarlierVersion(
        version=item.version,
        status=item.status,
        file=item.file,
        prompt=item.prompt,
        sha256=item.sha256,
        reason=item.reason,
        decision=item.decision,
        note=item.note,
    )
