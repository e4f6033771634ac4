"""Gives rows that refer to images of other rows those images, as far as they exist, and the key that follows.

A row's key contains the SHA-256 of its reference images. While an image of another row is missing the row has a
placeholder key, for which the ledger never has a record, and nothing is sent for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import NamedTuple, Protocol

from imagen_batch.images.reference_file import TYPES, is_taken
from imagen_batch.ledger.history import History
from imagen_batch.planning.keys import key_of_occurrence, with_references
from imagen_batch.planning.references.row_links import Dependent, Target
from imagen_batch.records import Move, Reference, SampleResult
from imagen_batch.text import format_bytes, plural

_MOST_COMBINATIONS = 256  # of images that a row may have been made with


class KeyedRows(Protocol):
    """The part of a row index that is needed here."""

    def row_key(self, row: int) -> str:
        """Return the key of a row."""

    def samples(self, row: int) -> int:
        """Return the number of samples of a row."""

    def set_key(self, row: int, key: str) -> None:
        """Give a row another key."""


class Waiting(NamedTuple):
    """Why a row is not sent: error kind and a clause that says which image is missing."""

    kind: str
    why: str


@dataclass(slots=True)
class RowImages:
    """The rows that refer to images of other rows, and what each has of them now.

    `order` has every row after those that it refers to. `occurrences` returns how many rows without such references
    have the same content.
    """

    dependents: Mapping[int, Dependent]
    order: Sequence[int]
    occurrences: Callable[[bytes], int]
    found: dict[int, tuple[Reference, ...]]
    waiting: dict[int, Waiting]

    def resolve(self, index: KeyedRows, history: History) -> None:
        """Look up the images that the ledger has now, and give each row the key that follows from them."""
        self.found.clear()
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
            self.found[row] = references
            content = _content(dependent, references)
            index.set_key(row, self._key(content, seen[content]))
            seen[content] += 1

    def moves_of_approved(self, index: KeyedRows, history: History) -> Iterator[Move]:
        """Yield what gives approved images back to rows that were edited while an image of another row was missing.

        Until that image was there they were recorded under the placeholder of the row.
        """
        for row in self.found if history.reviews else ():
            placeholder = self.dependents[row].placeholder
            for number in range(1, self.dependents[row].samples + 1):
                if history.reviews.is_approved(placeholder, number):  # the run takes this decision back afterwards
                    facts = history.kept_first(placeholder, number)
                    yield Move(index.row_key(row), placeholder, (number,), facts)

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
        self._images: dict[Target, tuple[Reference, ...]] = {}

    def references(self, dependent: Dependent, key: Callable[[bytes, int], str]) -> tuple[Reference, ...] | Waiting:
        """Return all references of a row with their images, or why it waits.

        A row with an approved image keeps the images that it was made with, whatever came later.
        """
        current = self._current(dependent, key)
        if not self._history.reviews:
            return current
        if not isinstance(current, Waiting) and self._is_approved(dependent, key(_content(dependent, current), 0)):
            return current
        return next(self._approved(dependent, key), current)

    def _approved(self, dependent: Dependent, key: Callable[[bytes, int], str]) -> Iterator[tuple[Reference, ...]]:
        """Yield the images with which an approved image of the row was made."""
        choices = [
            (reference,) if target is None else self._every_image(target, reference.text)
            for reference, target in (
                (each, dependent.targets.get(at)) for at, each in enumerate(dependent.references)
            )
        ]
        for combination in islice(product(*choices), _MOST_COMBINATIONS):
            if self._is_approved(dependent, key(_content(dependent, combination), 0)):
                yield combination

    def _every_image(self, target: Target, text: str) -> tuple[Reference, ...]:
        """The images of a row, of all its samples and their versions."""
        if target not in self._images:
            base = self._index.row_key(target.row)
            numbers = [target.sample] if target.sample else range(1, self._index.samples(target.row) + 1)
            keys = ((n, [base, *(each.key for each in self._history.reviews.versions(base, n))]) for n in numbers)
            made = ((key, n) for n, of_sample in keys for key in of_sample)
            found = (self._history.recorded_details(key, n) for key, n in made)
            self._images[target] = tuple(_as_reference(each[0]) for each in found if each and each[0].status == "ok")
        return tuple(replace(image, text=text) for image in self._images[target])

    def _is_approved(self, dependent: Dependent, base: str) -> bool:
        return self._history.reviews.approved(base, dependent.samples) is not None

    def _current(self, dependent: Dependent, key: Callable[[bytes, int], str]) -> tuple[Reference, ...] | Waiting:
        """Return what a row has of the images that other rows have now, or why it waits."""
        choices: list[tuple[Reference, ...]] = []
        ambiguous: Waiting | None = None
        for position, reference in enumerate(dependent.references):
            target = dependent.targets.get(position)
            found = (reference,) if target is None else self._of(target)
            if isinstance(found, Waiting):
                return found
            if target is not None:
                found = tuple(replace(image, text=reference.text) for image in found)
                ambiguous = ambiguous or self._ambiguity(target, len(found))
            choices.append(found)
        combinations = islice(product(*choices), _MOST_COMBINATIONS)
        if ambiguous is None:
            return self._fitting(dependent, next(combinations))
        # A row that was made keeps the image that it was made with, although another one came later.
        made = (each for each in combinations if self._is_made(dependent, key(_content(dependent, each), 0)))
        return next(made, ambiguous)

    def _of(self, target: Target) -> tuple[Reference, ...] | Waiting:
        if target not in self._candidates:
            self._candidates[target] = self._find(target)
        return self._candidates[target]

    def _find(self, target: Target) -> tuple[Reference, ...] | Waiting:
        name = f"row {target.row} ({target.id})"
        if target.row in self._waiting:
            return Waiting("reference_pending", f"{name}, whose image it needs, waits for an image itself")
        base = self._index.row_key(target.row)
        numbers = self._numbers(target, base)
        images = [self._image(base, number) for number in numbers if self._history.status(base, number) == "ok"]
        if not images:
            return self._missing(name, [self._history.status(base, number) for number in numbers])
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

    def _missing(self, name: str, statuses: Sequence[str | None]) -> Waiting:
        if "filtered" in statuses:
            return Waiting("reference_refused", f"the image of {name}, which it needs, was refused")
        if "failed" in statuses:
            return Waiting("reference_failed", f"the image of {name}, which it needs, failed")
        return Waiting("reference_pending", f"the image of {name}, which it needs, is not made yet")

    def _ambiguity(self, target: Target, images: int) -> Waiting | None:
        """Return why it is not known which image of a row is meant; None where it is."""
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

    def _is_made(self, dependent: Dependent, base: str) -> bool:
        return any(self._history.status(base, number) for number in range(1, dependent.samples + 1))

    def _fitting(self, dependent: Dependent, references: tuple[Reference, ...]) -> tuple[Reference, ...] | Waiting:
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
        return _as_reference(details[0])


def _as_reference(sample: SampleResult) -> Reference:
    return Reference(
        "",
        mime_type=sample.mime_type or "",
        sha256=sample.sha256,
        bytes=sample.bytes or 0,
        file=sample.file,
    )


def _content(dependent: Dependent, references: Sequence[Reference]) -> bytes:
    return with_references(dependent.plain, [each.identity for each in references])
