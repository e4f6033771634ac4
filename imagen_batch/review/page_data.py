"""Encodes gallery items as compact JSON that is harmless inside an HTML script element.

Items are written in chunks. A chunk holds arrays by column. A text is an index into the chunk's own list of texts. A
column whose items all have the same value is that single value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby
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
_ESCAPED = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"))


def script_json(value: object) -> str:
    """Return JSON in plain ASCII without `<`, `>` and `&`: no text in it can end the element or be HTML."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    for mark, escaped in _ESCAPED:
        text = text.replace(mark, escaped)
    return text


@dataclass(frozen=True, slots=True)
class ItemColumns:
    """The values of consecutive items, by column; warnings and earlier versions of those that have some."""

    numbers: Mapping[str, Sequence[Any]]
    texts: Mapping[str, Sequence[str | None]]
    user: Mapping[str, Sequence[str | None]]
    warnings: Mapping[int, Sequence[str]] = field(default_factory=dict)  # by position
    earlier: Mapping[int, Sequence[EarlierVersion]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.numbers["row"])

    def part(self, begin: int, end: int) -> ItemColumns:
        """Return some of the items, none of which has a warning or an earlier version."""
        numbers = {name: values[begin:end] for name, values in self.numbers.items()}
        texts = {name: values[begin:end] for name, values in self.texts.items()}
        return ItemColumns(numbers, texts, {name: values[begin:end] for name, values in self.user.items()})

    def end_of_row(self, begin: int, *, row: int | None) -> int:
        """Return the first position from `begin` on with another row than the one before it; `row` is before all."""
        rows = [row, *self.numbers["row"]]
        return next((at for at in range(begin, len(self)) if rows[at] not in {None, rows[at + 1]}), len(self))


def columns_of(items: Sequence[GalleryItem]) -> ItemColumns:
    """Return the values of items by column."""
    names = dict.fromkeys(name for item in items for name in item.user)
    return ItemColumns(
        {name: [getattr(item, name) for item in items] for name in _NUMBERS},
        {name: [getattr(item, name) for item in items] for name in _TEXTS},
        {name: [item.user.get(name) for item in items] for name in names},
        {at: item.warnings for at, item in enumerate(items) if item.warnings},
        {at: item.earlier for at, item in enumerate(items) if item.earlier},
    )


def chunks(
    items: Iterable[GalleryItem | ItemColumns], *, first: int = FIRST_CHUNK, size: int = CHUNK
) -> Iterator[str]:
    """Yield the items as JSON texts. A row's samples stay in one chunk."""
    batch: list[GalleryItem | ItemColumns] = []
    limit, count, row = first, 0, None
    for piece in items:
        while (end := _end_in_chunk(piece, begin=max(0, limit - count), row=row)) is not None:
            if isinstance(piece, ItemColumns) and end:
                batch.append(piece.part(0, end))
                piece = piece.part(end, len(piece))  # noqa: PLW2901 - what is left of it
            yield script_json(encode(batch))
            batch, limit, count = [], size, 0
        batch.append(piece)
        count += len(piece) if isinstance(piece, ItemColumns) else 1
        row = piece.numbers["row"][-1] if isinstance(piece, ItemColumns) else piece.row
    if batch:
        yield script_json(encode(batch))


def _end_in_chunk(piece: GalleryItem | ItemColumns, *, begin: int, row: int | None) -> int | None:
    """Return how many items of a piece belong to the present chunk, which is full at `begin`; None for all."""
    if isinstance(piece, ItemColumns):
        end = piece.end_of_row(begin, row=row)
        return end if end < len(piece) else None
    return 0 if not begin and row not in {None, piece.row} else None


def encode(items: Sequence[GalleryItem | ItemColumns]) -> dict[str, Any]:
    """Return one chunk. Text number 0 means no text; columns without any value are left out."""
    columns, texts = _joined(items), _Texts()
    numbers = {name: _column(columns.numbers[name]) for name in _NUMBERS}
    texted = {name: _column(texts.of(columns.texts[name])) for name in _TEXTS}
    return {
        "count": len(columns),
        "numbers": {name: column for name, column in numbers.items() if column is not None},
        "texted": {name: column for name, column in texted.items() if column != 0},
        # As pairs: a column may be called __proto__.
        "user": [[name, _column(texts.of(values))] for name, values in columns.user.items()],
        "warnings": {at: list(map(texts.number, warnings)) for at, warnings in columns.warnings.items()},
        "earlier": {
            at: [_earlier(version, texts) for version in versions] for at, versions in columns.earlier.items()
        },
        "texts": texts.all,
    }


def _joined(pieces: Sequence[GalleryItem | ItemColumns]) -> ItemColumns:
    """Return all items as columns."""
    parts = list(_as_columns(pieces))
    if len(parts) == 1:
        return parts[0]
    begins = list(accumulate(map(len, parts), initial=0))
    names = dict.fromkeys(name for part in parts for name in part.user)
    return ItemColumns(
        {name: [value for part in parts for value in part.numbers[name]] for name in _NUMBERS},
        {name: [value for part in parts for value in part.texts[name]] for name in _TEXTS},
        {name: [value for part in parts for value in part.user.get(name) or [None] * len(part)] for name in names},
        {begin + at: each for begin, part in zip(begins, parts, strict=False) for at, each in part.warnings.items()},
        {begin + at: each for begin, part in zip(begins, parts, strict=False) for at, each in part.earlier.items()},
    )


def _as_columns(pieces: Sequence[GalleryItem | ItemColumns]) -> Iterator[ItemColumns]:
    for _, group in groupby(pieces, key=lambda piece: isinstance(piece, ItemColumns)):
        items: list[GalleryItem] = []
        for piece in group:
            if isinstance(piece, ItemColumns):
                yield piece
            else:
                items.append(piece)
        if items:
            yield columns_of(items)


class _Texts:
    def __init__(self) -> None:
        self.all: list[str | None] = [None]
        self._numbers: dict[str | None, int] = {None: 0}

    def of(self, texts: Sequence[str | None]) -> list[int]:
        """Return the number of each text."""
        known, numbers = self._numbers, []
        for text in texts:
            number = known.get(text)
            numbers.append(self.number(text) if number is None else number)
        return numbers

    def number(self, text: str | None) -> int:
        number = self._numbers.setdefault(text, len(self.all))
        if number == len(self.all):
            self.all.append(text)
        return number


def _column(values: Sequence[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else values


def _earlier(version: EarlierVersion, texts: _Texts) -> list[Any]:
    fields = (version.status, version.file, version.thumbnail, version.prompt, version.reason)
    marks = (version.decision, version.note)
    return [version.version, *map(texts.number, fields), *map(texts.number, marks)]
