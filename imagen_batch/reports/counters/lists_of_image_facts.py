"""Holds what the counters of a summary need of many ordinary images, as lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from imagen_batch.records import PromptRow


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts of images in input order: `ok`, without an error, a warning, a review, or a cost of other attempts.

    Each list has one value for each image.
    """

    rows: Sequence[PromptRow]
    numbers: Sequence[int]
    files: Sequence[str]
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
        return cls((), (), (), (), (), (), (), (), (), (), (), "")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.rows)

    def part(self, begin: int, end: int) -> ImageFacts:
        """Return the facts of some of the images."""
        if (begin, end) == (0, len(self)):
            return self
        lists = [field.name for field in fields(self) if field.name != "provider"]
        values: dict[str, Any] = {name: getattr(self, name)[begin:end] for name in lists}
        return replace(self, **values)
