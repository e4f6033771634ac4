"""Counts the rows of a block together, with the same keys, prices and totals as one by one.

A block is left to the counter of single rows if any of its rows may have a problem or a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, TypeVar

import pyarrow.compute as pc

from imagen_batch.planning.keys import RowKeys, identity_options
from imagen_batch.planning.plan_rows_in_blocks import resolve_kinds
from imagen_batch.planning.resolve_rows import ResolvedOptions, RowPlanner
from imagen_batch.providers.catalogue import Catalogue, Model

if TYPE_CHECKING:
    from imagen_batch.prompts.row_blocks.rows_as_columns import RowBlock

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class RowsToCount:
    """Rows without problems and warnings. `kinds` is model, options and number of samples of each kind."""

    rows: RowBlock
    kinds: Sequence[tuple[ResolvedOptions, int]]

    def of_rows(self, values: Sequence[_Value]) -> Iterator[_Value]:
        """Yield the value of each row's kind."""
        kind_of = self.rows.kind_of
        return repeat(values[0], len(self.rows)) if kind_of is None else map(values.__getitem__, kind_of.tolist())

    def count_by_kind(self) -> Iterator[tuple[ResolvedOptions, int]]:
        """Yield the kinds, in the order in which they come first, with the number of samples of their rows."""
        of_rows = list(range(len(self.kinds))) if self.rows.kind_of is None else self.rows.kind_of.tolist()
        for kind, (resolved, samples) in enumerate(self.kinds):
            rows = len(self.rows) if self.rows.kind_of is None else of_rows.count(kind)
            yield resolved, samples * rows

    def samples(self) -> list[int]:
        """Return the number of samples of each row."""
        return list(self.of_rows([samples for _, samples in self.kinds]))

    def requests(self) -> list[int]:
        """Return the most samples of one request, for each row."""
        return list(self.of_rows([resolved.model.samples_per_request for resolved, _ in self.kinds]))

    def prices(self) -> list[float | None]:
        """Return for each row the worst case in USD for one image."""
        return self._prices([resolved.model for resolved, _ in self.kinds])

    def successor_costs(self, catalogue: Catalogue) -> Iterator[tuple[str, float]]:
        """Yield for each row whose model has a successor its model, and what its images would cost at most there."""
        named = [resolved.model.successor for resolved, _ in self.kinds]
        if not any(named):
            return
        successors = [catalogue.get(name) if name else None for name in named]
        models = self.of_rows(
            [resolved.model if name else None for (resolved, _), name in zip(self.kinds, named, strict=True)]
        )
        for model, usd, samples in zip(models, self._prices(successors), self.samples(), strict=True):
            if model is not None:
                yield model.id, (usd or 0.0) * samples

    def _prices(self, models: Sequence[Model | None]) -> list[float | None]:
        """Return for each row the price of an image, given the model of each kind."""
        known: dict[tuple[int, int], float | None] = {}
        kinds, lengths = self.of_rows(range(len(self.kinds))), pc.binary_length(self.rows.prompts).to_pylist()
        pairs = list(zip(kinds, lengths, strict=True))
        for kind, length in set(pairs):
            model, size = models[kind], self.kinds[kind][0].sent.image_size
            known[kind, length] = None if model is None else model.worst_price(size, "x" * length)
        return [known[pair] for pair in pairs]

    def digests(self, keys: RowKeys) -> Iterator[bytes]:
        """Yield the digest of each row's request."""
        frames = [
            keys.frame(resolved.model.id, identity_options(resolved.sent, dialect=resolved.model.dialect))
            for resolved, _ in self.kinds
        ]
        return keys.digests(self.of_rows(frames), self.rows.prompts.to_pylist())


def rows_to_count(rows: RowBlock, planner: RowPlanner) -> RowsToCount | None:
    """Return the rows if they can be counted together, else None."""
    resolved = resolve_kinds(rows, planner)
    if resolved is None or any(each.issues for each in resolved):
        return None
    if not all(_reads_whole(each.model, rows) for each in resolved):
        return None
    kinds = [(each, planner.samples_of(row)) for each, row in zip(resolved, rows.kinds, strict=True)]
    return RowsToCount(rows, kinds) if all(samples >= 1 for _, samples in kinds) else None


def _reads_whole(model: Model, rows: RowBlock) -> bool:
    """Return whether a model certainly reads each prompt to its end: two words have at least three characters."""
    if model.prompt_chars is None and model.prompt_words is None:
        return True
    longest = pc.max(pc.utf8_length(rows.prompts)).as_py()
    fits = model.prompt_chars is None or longest <= model.prompt_chars
    return fits and (model.prompt_words is None or (longest + 1) // 2 <= model.prompt_words)
