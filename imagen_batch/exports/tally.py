"""Counts the images of an export for its card and its last line. Memory grows only with models and splits."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from imagen_batch.exports.rows.manifest import RunImage
from imagen_batch.exports.rows.selection import LeftOut


@dataclass(slots=True)
class Tally:
    """Images by split, model, provider and type; rows left out by reason; US dollars of the images."""

    splits: Counter[str] = field(default_factory=Counter)
    split_bytes: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    providers: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    cost_usd: float = 0.0
    cost_unknown: int = 0
    estimated: int = 0
    signed: int = 0
    bytes: int = 0
    last: datetime | None = None  # when the newest image arrived

    @property
    def images(self) -> int:
        """The number of all images."""
        return self.splits.total()

    def add(self, image: RunImage) -> None:
        """Count an image."""
        row = image.row
        self.splits[image.split] += 1
        self.models[row.get("model") or "unknown"] += 1
        self.providers[row.get("provider") or "unknown"] += 1
        self.types[image.extension] += 1
        self.signed += row.get("c2pa") is True
        self.bytes += row.get("bytes") or 0
        self.split_bytes[image.split] += row.get("bytes") or 0
        self.cost_usd += row.get("cost_usd") or 0.0
        self.cost_unknown += row.get("cost_usd") is None
        finished = row.get("finished_at")
        self.last = max(filter(None, (self.last, finished)), default=None)
        self.estimated += row.get("cost_is") == "estimate"

    def leave_out(self, row: LeftOut) -> None:
        """Count a row that is not exported."""
        self.left_out[row.reason] += 1
