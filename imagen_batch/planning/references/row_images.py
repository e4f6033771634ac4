"""Resolves references to images of other rows, and computes the keys of the rows that have such references.

A row's key contains the SHA-256 of its reference images. While an image of another row is missing the row has a
placeholder key, for which the ledger never has a record, and nothing is sent for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import NamedTuple, Protocol

from imagen_batch.images.reference_file import TYPES, is_taken
from imagen_batch.ledger.history import History
from imagen_batch.planning.keys import key_of_occurrence, with_references
from imagen_batch.planning.references.row_links import Dependent, Target
from imagen_batch.records import Reference
from imagen_batch.text import format_bytes, plural

_MAX_COMBINATIONS = 256  # of images that a row may have been made with


class KeyedRows(Protocol):
    """The methods of a row index that are used here."""

    def row_key(self, row: int) -> str:
        """Return the key of a row."""

    def samples(self, row: int) -> int:
        """Return the number of samples of a row."""

    def set_key(self, row: int, key: str) -> None:
        """Replace the key of a row."""


class Waiting(NamedTuple):
    """Why a row is not sent: error kind and a clause that says which image is missing."""

    kind: str
    why: str


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

    def resolve(self, index: KeyedRows, history: History) -> None:
        """Look up the images that the ledger has now, and set the key of each row that follows from them."""
        self.resolved.clear()
        self.waiting.clear()
        lookup = _Lookup(index, history, self.waiting)
        seen: Counter[bytes] = Counter()
        for row in self.order:
            dependent = self.dependents[row]
            references = lookup.references(dependent, self._key)
            if isinstance(references, Waiting):
                self.waiting[row] = references
                index.set_key(row, dependent.placeholder)
                continue
            self.resolved[row] = references
            content = _content(dependent, references)
            index.set_key(row, self._key(content, seen[content]))
            seen[content] += 1

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


class _Lookup:
    """Finds the images of rows in the ledger. Each image is looked up once, however many rows use it."""

    def __init__(self, index: KeyedRows, history: History, waiting: Mapping[int, Waiting]) -> None:
        self._index = index
        self._history = history
        self._waiting = waiting
        self._candidates: dict[Target, tuple[Reference, ...] | Waiting] = {}

    def references(self, dependent: Dependent, key: Callable[[bytes, int], str]) -> tuple[Reference, ...] | Waiting:
        """Return all references of a row with their images, or why it waits."""
        choices: list[tuple[Reference, ...]] = []
        ambiguous: Waiting | None = None
        for position, reference in enumerate(dependent.references):
            target = dependent.targets.get(position)
            images = (reference,) if target is None else self._images_of(target)
            if isinstance(images, Waiting):
                return images
            if target is not None:
                images = tuple(replace(image, text=reference.text) for image in images)
                ambiguous = ambiguous or self._explain_ambiguity(target, len(images))
            choices.append(images)
        combinations = islice(product(*choices), _MAX_COMBINATIONS)
        if ambiguous is None:
            return self._check_size(dependent, next(combinations))
        # A row that has a result keeps the image that it was made with, although another one came later.
        used = (each for each in combinations if self._has_result(dependent, key(_content(dependent, each), 0)))
        return next(used, ambiguous)

    def _images_of(self, target: Target) -> tuple[Reference, ...] | Waiting:
        if target not in self._candidates:
            self._candidates[target] = self._find_images(target)
        return self._candidates[target]

    def _find_images(self, target: Target) -> tuple[Reference, ...] | Waiting:
        name = f"row {target.row} ({target.id})"
        if target.row in self._waiting:
            return Waiting("reference_pending", f"{name}, whose image it needs, waits for an image itself")
        base = self._index.row_key(target.row)
        numbers = self._numbers(target, base)
        images = [self._image(base, number) for number in numbers if self._history.status(base, number) == "ok"]
        if not images:
            return self._explain_missing(name, [self._history.status(base, number) for number in numbers])
        if unsuitable := next((image for image in images if not is_taken(image.mime_type)), None):
            return Waiting(
                "reference_unusable", f"the image of {name} is {unsuitable.mime_type}; a reference image is {TYPES}"
            )
        return tuple(images)

    def _numbers(self, target: Target, base: str) -> Sequence[int]:
        samples = self._index.samples(target.row)
        sample = target.sample or self._history.approved(base, samples)
        if sample is not None:
            return [sample]
        return [number for number in range(1, samples + 1) if not self._history.reviews.is_rejected(base, number)]

    def _explain_missing(self, name: str, statuses: Sequence[str | None]) -> Waiting:
        if "filtered" in statuses:
            return Waiting("reference_refused", f"the image of {name}, which it needs, was refused")
        if "failed" in statuses:
            return Waiting("reference_failed", f"the image of {name}, which it needs, failed")
        return Waiting("reference_pending", f"the image of {name}, which it needs, is not made yet")

    def _explain_ambiguity(self, target: Target, images: int) -> Waiting | None:
        """Return why it is not known which image of a row is meant; None if it is known."""
        base, name = self._index.row_key(target.row), f"row {target.row} ({target.id})"
        if images > 1:
            why = f"{name} has {images} images and none is approved; approve one, or write @{target.id}#1"
            return Waiting("reference_unapproved", why)
        statuses = [self._history.status(base, number) for number in self._numbers(target, base)]
        to_come = sum(status not in {"ok", "filtered", "failed"} for status in statuses)
        if to_come:
            return Waiting(
                "reference_pending", f"{plural(to_come, 'image')} of {name}, which it needs, are not made yet"
            )
        return None

    def _has_result(self, dependent: Dependent, base: str) -> bool:
        return any(self._history.status(base, number) for number in range(1, dependent.samples + 1))

    def _check_size(self, dependent: Dependent, references: tuple[Reference, ...]) -> tuple[Reference, ...] | Waiting:
        size = sum(-(-each.bytes // 3) * 4 for each in references if each.file is not None)
        if size <= dependent.room:
            return references
        return Waiting(
            "reference_unusable",
            f"the images of other rows have {format_bytes(size)}; with its request they may have "
            f"{format_bytes(dependent.room)}",
        )

    def _image(self, base: str, number: int) -> Reference:
        details = self._history.details(base, number)
        assert details is not None
        sample = details[0]
        return Reference(
            "",
            mime_type=sample.mime_type or "",
            sha256=sample.sha256,
            bytes=sample.bytes or 0,
            file=sample.file,
        )


def _content(dependent: Dependent, references: Sequence[Reference]) -> bytes:
    return with_references(dependent.plain, [each.identity for each in references])
