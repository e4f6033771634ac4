"""Sums over the rows of an input: what its images may cost, and how much space they may take."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

from imagen_batch.images.reserve_disk_space import estimate_bytes
from imagen_batch.planning.resolve_rows import ResolvedOptions

Shape = tuple[str, str | None, str | None]
"""Model, aspect ratio and image size as requested; None if the service chooses."""


@dataclass(slots=True)
class RowTotals:
    """Sums over the rows of an input."""

    rows: int = 0  # of the whole input
    samples: int = 0  # of the whole input
    # The fields below count only the rows that the run selects.
    selected_rows: int = 0
    selected_samples: int = 0
    requests: int = 0
    worst_usd: float = 0.0
    unpriced: int = 0  # images without a known price
    disk_bytes: int = 0  # an estimate from sizes
    images_by_model: Counter[str] = field(default_factory=Counter)
    successor_usd: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Model -> worst case in USD if its successor made its images."""
    images_by_shape: Counter[Shape] = field(default_factory=Counter)
    names: list[str] = field(default_factory=list)  # the first few
    shapes: Counter[str] = field(default_factory=Counter)  # a line about each shape and model -> images
    first_prompt: str | None = None  # as sent, where it is not the row's own text
    has_names: bool = False  # whether the user chose names for images

    def add_rows(self, samples: Sequence[int], per_request: Sequence[int], prices: Sequence[float | None]) -> None:
        """Add selected rows, by their numbers of samples, the samples of one request, and the prices of an image."""
        self.rows += len(samples)
        self.samples += sum(samples)
        self.selected_rows += len(samples)
        self.selected_samples += sum(samples)
        self.requests += sum(-(-count // most) for count, most in zip(samples, per_request, strict=True))
        priced = [(price, count) for price, count in zip(prices, samples, strict=True) if price is not None]
        self.worst_usd = reduce(add, (price * count for price, count in priced), self.worst_usd)
        self.unpriced += sum(samples) - sum(count for _, count in priced)

    def add_images(self, resolved: ResolvedOptions, samples: int) -> None:
        """Add samples of selected rows with the same model and options."""
        model, options = resolved.model, resolved.sent
        self.images_by_model[model.id] += samples
        self.images_by_shape[model.id, options.aspect_ratio, options.image_size] += samples
        if resolved.shape is not None:
            self.shapes[resolved.shape] += samples
        self.disk_bytes += samples * estimate_bytes(options.image_size)
