"""Divides a run's images and cost among models, and among the values of one of the input's columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from imagen_batch.records import ManifestRow
from imagen_batch.reports.counters.cell_of_column import find_cell
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts
from imagen_batch.text import one_line

_MAX_SHARES = 500
_MAX_NAME = 80
OTHERS = "(others)"
"""The name of the share of all values beyond the first 500."""


@dataclass(slots=True)
class Share:
    """The samples, images and cost of a model or group. `run_usd` is for samples whose last result is of this run."""

    name: str
    samples: int = 0
    images: int = 0
    usd: float = 0.0
    run_usd: float = 0.0

    def add(self, entry: ManifestRow, *, since: float | None) -> None:
        """Count a sample; `since` is when this run began, in seconds since the epoch."""
        self.samples += 1
        self.images += entry.sample.status == "ok"
        self.usd += entry.cost_usd or 0.0
        finished = entry.trace.finished_at
        if since is not None and finished is not None and finished >= since and entry.sample.cost_is != "unknown":
            self.run_usd += entry.sample.cost_usd or 0.0

    def add_images(self, usd: Sequence[float], run_usd: Sequence[float]) -> None:
        """Count images: what they cost, and what they cost in this run."""
        self.samples += len(usd)
        self.images += len(usd)
        self.usd = reduce(add, usd, self.usd)  # not `sum`, which rounds in another way in some versions
        self.run_usd = reduce(add, run_usd, self.run_usd)


class Breakdown:
    """Counts samples by model and by a column. Memory grows with the number of models and values, up to a bound."""

    def __init__(self, *, group_by: str | None = None, since: float | None = None) -> None:
        self.group_by = group_by
        self._since = since
        self._models: dict[str, Share] = {}
        self._groups: dict[str, Share] = {}

    def add(self, entry: ManifestRow) -> None:
        """Count a sample."""
        _share(self._models, entry.model).add(entry, since=self._since)
        if self.group_by is not None:
            value = one_line(find_cell(entry.row.cells, self.group_by), _MAX_NAME)
            _share(self._groups, value).add(entry, since=self._since)

    def add_images(self, images: ImageFacts) -> None:
        """Count images."""
        since = math.inf if self._since is None else self._since
        costs = [cost or 0.0 for cost in images.costs]
        run_costs = [
            cost if finished is not None and finished >= since else 0.0
            for cost, finished in zip(costs, images.finished_at, strict=True)
        ]
        _add_to_shares(self._models, images.models, costs, run_costs)
        if self.group_by is not None:
            values = [one_line(text, _MAX_NAME) for text in images.rows.cells(self.group_by)]
            _add_to_shares(self._groups, values, costs, run_costs)

    @property
    def models(self) -> tuple[Share, ...]:
        """The models, the one with most samples first."""
        return tuple(sorted(self._models.values(), key=lambda share: -share.samples))

    @property
    def groups(self) -> tuple[Share, ...]:
        """The column's values, in the order of their first row."""
        return tuple(self._groups.values())


def _add_to_shares(
    shares: dict[str, Share], names: Sequence[str], usd: Sequence[float], run_usd: Sequence[float]
) -> None:
    if len(set(names)) == 1:
        _share(shares, names[0]).add_images(usd, run_usd)
        return
    for name, cost, run_cost in zip(names, usd, run_usd, strict=True):
        _share(shares, name).add_images((cost,), (run_cost,))


def _share(shares: dict[str, Share], name: str) -> Share:
    if name not in shares and len(shares) >= _MAX_SHARES:
        name = OTHERS
    return shares.setdefault(name, Share(name))
