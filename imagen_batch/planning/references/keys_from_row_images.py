"""Resolves references to images of other rows, and computes the keys of the rows that have such references.

A row's key contains the SHA-256 of its reference images. While an image of another row is missing the row has a
placeholder key, for which the ledger never has a record, and nothing is sent for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from imagen_batch.ledger.history import History
from imagen_batch.planning.keys import key_of_occurrence
from imagen_batch.planning.references.choose_images_of_other_rows import ImageChoice, Waiting, content_with
from imagen_batch.planning.references.row_links import Dependent
from imagen_batch.records import Reference


class KeyedRows(Protocol):
    """The methods of a row index that are used here."""

    def row_key(self, row: int) -> str:
        """Return the key of a row."""

    def samples(self, row: int) -> int:
        """Return the number of samples of a row."""

    def set_key(self, row: int, key: str) -> None:
        """Replace the key of a row."""


@dataclass(slots=True)
class RowImages:
    """The rows that refer to images of other rows, and the images that exist for each of them now.

    `order` has every row after those that it refers to. `occurrences` returns how many rows without such references
    have the same content.
    """

    dependents: Mapping[int, Dependent]
    order: Sequence[int]
    occurrences: Callable[[bytes], int]
    resolved: dict[int, tuple[Reference, ...]]
    waiting: dict[int, Waiting]

    def resolve(self, index: KeyedRows, history: History, adjust: Callable[[int], None] | None = None) -> None:
        """Look up the images that the ledger has now, and set the key of each row that follows from them.

        `adjust` is called for each row with its new key, before rows that use its images.
        """
        self.resolved.clear()
        self.waiting.clear()
        choice = ImageChoice(index, history, self.waiting, self.resolved, self._key)
        seen: Counter[bytes] = Counter()
        for row in self.order:
            dependent = self.dependents[row]
            references, waiting = choice.of(dependent)
            if waiting is not None:
                self.waiting[row] = waiting
            if references is None:
                index.set_key(row, dependent.placeholder)
            else:
                self.resolved[row] = references
                content = content_with(dependent, references)
                index.set_key(row, self._key(content, seen[content]))
                seen[content] += 1
            if adjust is not None:
                adjust(row)

    def stages(self) -> dict[int, int]:
        """Return for each waiting row how many stages come before it."""
        stages: dict[int, int] = {}
        for row in self.order:
            if row in self.waiting:
                targets = self.dependents[row].targets.values()
                stages[row] = 1 + max((stages.get(target.row, 0) for target in targets), default=0)
        return stages

    def promising(self, row: int, is_promising: Callable[[int], bool]) -> bool:
        """Return whether the images that a waiting row needs are there or will be requested."""
        targets = {target.row for target in self.dependents[row].targets.values()}
        return self.waiting[row].kind != "reference_unapproved" and all(map(is_promising, targets))

    def _key(self, content: bytes, earlier: int) -> str:
        return key_of_occurrence(content, self.occurrences(content) + earlier + 1)
