"""Encodes gallery items as compact JSON that is harmless inside an HTML script element.

Items are written in chunks. A chunk holds arrays by column. A text is an index into the chunk's own list of texts. A
column whose items all have the same value is that single value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from imagen_batch.review.gallery_items import EarlierVersion, GalleryItem

FIRST_CHUNK = 300  # items: enough for the first screen, few enough to be read at once
CHUNK = 4000

_NUMBERS = ("row", "sample", "version", "width", "height", "seed", "cost_usd", "new_seed")
_TEXTS = (
    "id",
    "key",
    "status",
    "file",
    "thumbnail",
    "prompt",
    "input_prompt",
    "model",
    "provider",
    "reason",
    "category",
    "advice",
    "decision",
    "edited_prompt",
    "note",
)
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def script_json(value: object) -> str:
    """Return JSON in plain ASCII without `<`, `>` and `&`: no text in it can end the element or be HTML."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).translate(_ESCAPED)


def chunks(items: Iterable[GalleryItem], *, first: int = FIRST_CHUNK, size: int = CHUNK) -> Iterator[str]:
    """Yield the items as JSON texts. A row's samples stay in one chunk."""
    batch: list[GalleryItem] = []
    limit = first
    for item in items:
        if len(batch) >= limit and item.row != batch[-1].row:
            yield script_json(encode(batch))
            batch, limit = [], size
        batch.append(item)
    if batch:
        yield script_json(encode(batch))


def encode(items: Sequence[GalleryItem]) -> dict[str, Any]:
    """Return one chunk. Text number 0 means no text; columns without any value are left out."""
    texts = _Texts()
    numbers = {name: _column([getattr(item, name) for item in items]) for name in _NUMBERS}
    texted = {name: _column([texts.number(getattr(item, name)) for item in items]) for name in _TEXTS}
    names = dict.fromkeys(name for item in items for name in item.user)
    return {
        "count": len(items),
        "numbers": {name: column for name, column in numbers.items() if column is not None},
        "texted": {name: column for name, column in texted.items() if column != 0},
        # As pairs: a column may be called __proto__.
        "user": [[name, _column([texts.number(item.user.get(name)) for item in items])] for name in names],
        "warnings": {at: list(map(texts.number, item.warnings)) for at, item in enumerate(items) if item.warnings},
        "earlier": {
            at: [_earlier(version, texts) for version in item.earlier]
            for at, item in enumerate(items)
            if item.earlier
        },
        "texts": texts.all,
    }


class _Texts:
    def __init__(self) -> None:
        self.all: list[str | None] = [None]
        self._numbers: dict[str | None, int] = {None: 0}

    def number(self, text: str | None) -> int:
        number = self._numbers.setdefault(text, len(self.all))
        if number == len(self.all):
            self.all.append(text)
        return number


def _column(values: list[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else values


def _earlier(version: EarlierVersion, texts: _Texts) -> list[Any]:
    fields = (version.status, version.file, version.thumbnail, version.prompt, version.reason)
    marks = (version.decision, version.note)
    return [version.version, *map(texts.number, fields), *map(texts.number, marks)]
