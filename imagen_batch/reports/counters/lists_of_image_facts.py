"""Holds what the counters of a summary need of many ordinary images, as lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol


class RowFacts(Protocol):
    """What is counted of the rows of images, for each image."""

    @property
    def numbers(self) -> Sequence[int]:
        """The number of each image's row."""

    def ids(self) -> Sequence[str | None]:
        """Return the id of each image's row."""

    def requested(self) -> Sequence[int | None]:
        """Return the number of samples in each image's row of the input; None where the row has none."""

    def cells(self, column: str) -> Sequence[str]:
        """Return the text of each image's row in a column of the input, without the white space around it."""

    def part(self, begin: int, end: int) -> RowFacts:
        """Return the facts of some of the images."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts of images in input order: `ok`, without an error, a warning, a review, or a cost of other attempts.

    Each list has one value for each image.
    """

    rows: RowFacts
    numbers: Sequence[int]
    files: Sequence[str]
    widths: Sequence[int | None]  # in pixels, like the heights
    heights: Sequence[int | None]
    models: Sequence[str]
    costs: Sequence[float | None]  # USD that were certainly charged
    recorded_costs: Sequence[float | None]  # the same, and for an unknown cost the most that it may be
    cost_is: Sequence[str | None]
    c2pa: Sequence[bool | None]
    finished_at: Sequence[float | None]
    keys: Sequence[str]
    attempts: Sequence[int]
    provider: str

    @classmethod
    def empty(cls) -> ImageFacts:
        """The facts of no image."""
        return cls(_NoRows(), (), (), (), (), (), (), (), (), (), (), (), (), "")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.numbers)

    def part(self, begin: int, end: int) -> ImageFacts:
        """Return the facts of some of the images."""
        if (begin, end) == (0, len(self)):
            return self
        lists = [field.name for field in fields(self) if field.name not in {"provider", "rows"}]
        values: dict[str, Any] = {name: getattr(self, name)[begin:end] for name in lists}
        return replace(self, rows=self.rows.part(begin, end), **values)


class _NoRows:
    """Stands for the rows where there is no image."""

    numbers: Sequence[int] = ()

    def ids(self) -> Sequence[str | None]:
        return ()

    def requested(self) -> Sequence[int | None]:
        return ()

    def cells(self, _column: str) -> Sequence[str]:
        return ()

    def part(self, _begin: int, _end: int) -> RowFacts:
        return self
