"""Chooses which images of other rows a row is sent with: those that it was made with, else those that count now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice, product
from typing import NamedTuple, Protocol

from imagen_batch.images.reference_file import TYPES, is_supported
from imagen_batch.ledger.history import History
from imagen_batch.planning.keys import with_references
from imagen_batch.planning.references.row_links import Dependent, Target
from imagen_batch.records import Outcome, Reference, RequestTrace, SampleResult
from imagen_batch.text import format_bytes, plural

_MAX_COMBINATIONS = 256  # of images that a row may have been made with
_MADE: frozenset[Outcome] = frozenset({"ok", "unknown"})

References = tuple[Reference, ...]


class Waiting(NamedTuple):
    """Why a row is not sent: error kind and a clause that says which image is missing."""

    kind: str
    why: str


class Rows(Protocol):
    """The part of a row index that is needed here."""

    def row_key(self, row: int) -> str:
        """Return the key of a row."""

    def samples(self, row: int) -> int:
        """Return the number of samples of a row."""


class _Images(NamedTuple):
    """The images of a row: those that count now, earlier ones, and why none or too many of them count.

    `decided`: a person has approved the image that counts.
    """

    now: References
    earlier: References = ()
    waiting: Waiting | None = None
    decided: bool = False


class ImageChoice:
    """Chooses images for rows in their order. The images of a row are looked up once, however many rows use them."""

    def __init__(
        self,
        rows: Rows,
        history: History,
        waiting: Mapping[int, Waiting],
        resolved: Mapping[int, References],
        key: Callable[[bytes, int], str],
    ) -> None:
        self._rows = rows
        self._history = history
        self._waiting = waiting  # rows that wait, of those that were chosen for so far
        self._resolved = resolved  # rows with images
        self._key = key
        self._known: dict[Target, _Images] = {}
        self._lost: set[str] = set()  # SHA-256 of images that were lost and made again

    def of(self, dependent: Dependent) -> tuple[References | None, Waiting | None]:
        """Return the references that decide the key of a row, and why nothing may be sent for it.

        A row that was made keeps the images that it was made with until another one is approved. If an image of its
        own is approved it keeps them in any case.
        """
        images = [self._images(dependent, position) for position in range(len(dependent.references))]
        waiting = next((each.waiting for each in images if each.waiting is not None), None)
        kept = self._made_with(dependent, images, any_status=waiting is not None)
        if kept is not None:
            is_open = (
                waiting is not None and waiting.kind != "reference_unapproved" and not all(i.now for i in images)
            )
            return kept, waiting if is_open else None
        if waiting is not None:
            return None, waiting
        return self._check_size(dependent, tuple(each.now[0] for each in images))

    def _made_with(self, dependent: Dependent, images: Sequence[_Images], *, any_status: bool) -> References | None:
        """Return the images that a row was made with and keeps; None if those of now count."""
        if not any_status and not any(each.earlier for each in images):
            return None
        every = self._combinations(dependent, [(*each.now, *each.earlier) for each in images])
        numbers = range(1, self._rows.samples(dependent.row) + 1)
        if kept := next((each for each, base in every if self._history.approved(base, len(numbers))), None):
            return kept
        open_ones = [each.now if each.decided else (*each.now, *each.earlier) for each in images]
        keyed = [
            (each, {self._history.status(base, number) for number in numbers})
            for each, base in self._combinations(dependent, open_ones)
        ]
        # Nothing can be sent with an image whose file was lost: such a row keeps it only if it is complete.
        keyed = [(each, found - {None}) for each, found in keyed if None not in found or not self._has_lost(each)]
        made = next((each for each, statuses in keyed if statuses & _MADE), None)
        return made or (next((each for each, statuses in keyed if statuses), None) if any_status else None)

    def _has_lost(self, references: References) -> bool:
        return any(each.sha256 in self._lost for each in references)

    def _combinations(self, dependent: Dependent, images: Sequence[References]) -> list[tuple[References, str]]:
        combinations = islice(product(*images), _MAX_COMBINATIONS)
        return [(each, self._key(content_with(dependent, each), 0)) for each in combinations]

    def _images(self, dependent: Dependent, position: int) -> _Images:
        target, reference = dependent.targets.get(position), dependent.references[position]
        if target is None:
            return _Images((reference,))
        if target not in self._known:
            self._known[target] = self._find_images(target)
        found = self._known[target]
        now, earlier = (
            tuple(replace(each, text=reference.text) for each in some) for some in (found.now, found.earlier)
        )
        return found._replace(now=now, earlier=earlier)

    def _find_images(self, target: Target) -> _Images:
        name = f"row {target.row} ({target.id})"
        if target.row in self._waiting and target.row not in self._resolved:
            why = f"{name}, whose image it needs, waits for an image itself"
            return _Images((), waiting=Waiting("reference_pending", why))
        base, history = self._rows.row_key(target.row), self._history
        approved, numbers = self._numbers(target, base)
        statuses = [history.status(base, number) for number in numbers]
        now = tuple(
            self._image(history.details(base, number))
            for number, status in zip(numbers, statuses, strict=True)
            if status == "ok"
        )
        if unsuitable := next((image for image in now if not is_supported(image.mime_type)), None):
            why = f"the image of {name} is {unsuitable.mime_type}; a reference image is {TYPES}"
            return _Images((), waiting=Waiting("reference_unusable", why))
        waiting = _explain_ambiguity(target, name, statuses) if now else _explain_missing(name, statuses)
        return _Images(now, tuple(self._earlier(target, base, now)), waiting, approved)

    def _numbers(self, target: Target, base: str) -> tuple[bool, Sequence[int]]:
        """Return whether an image is approved, and the samples that count."""
        samples, reviews = self._rows.samples(target.row), self._history.reviews
        if target.sample is not None:
            return reviews.is_approved(base, target.sample), [target.sample]
        approved = self._history.approved(base, samples)
        if approved is not None:
            return True, [approved]
        return False, [number for number in range(1, samples + 1) if not reviews.is_rejected(base, number)]

    def _earlier(self, target: Target, base: str, now: References) -> Iterator[Reference]:
        """Yield the other images of a row: of all samples and versions, and those that were lost and made again."""
        known = {image.sha256 for image in now}
        for number in [target.sample] if target.sample else range(1, self._rows.samples(target.row) + 1):
            keys = [base, *(each.key for each in self._history.reviews.versions(base, number))]
            for image in chain.from_iterable(self._recorded(key, number) for key in reversed(keys)):
                if image.sha256 not in known and is_supported(image.mime_type):
                    known.add(image.sha256)
                    yield image

    def _recorded(self, key: str, number: int) -> Iterator[Reference]:
        if self._history.recorded_status(key, number) == "ok" and self._history.reviews:
            yield self._image(self._history.recorded_details(key, number))
        for sample in self._history.replaced_images(key, number):
            self._lost.add(sample.sha256 or "")
            yield _reference(sample)

    def _check_size(self, dependent: Dependent, references: References) -> tuple[References | None, Waiting | None]:
        size = sum(-(-each.bytes // 3) * 4 for each in references if each.file is not None)
        if size <= dependent.room:
            return references, None
        why = (
            f"the images of other rows have {format_bytes(size)}; with its request they may have "
            f"{format_bytes(dependent.room)}"
        )
        return None, Waiting("reference_unusable", why)

    def _image(self, details: tuple[SampleResult, RequestTrace] | None) -> Reference:
        assert details is not None
        return _reference(details[0])


def _reference(sample: SampleResult) -> Reference:
    return Reference(
        "", mime_type=sample.mime_type or "", sha256=sample.sha256, bytes=sample.bytes or 0, file=sample.file
    )


def content_with(dependent: Dependent, references: Sequence[Reference]) -> bytes:
    """Return the digest of what a row asks for with these reference images."""
    identities = [each.identity for each in references]
    return with_references(dependent.plain, identities) if identities else dependent.plain


def _explain_missing(name: str, statuses: Sequence[Outcome | None]) -> Waiting:
    if "filtered" in statuses:
        return Waiting("reference_refused", f"the image of {name}, which it needs, was refused")
    if "failed" in statuses:
        return Waiting("reference_failed", f"the image of {name}, which it needs, failed")
    return Waiting("reference_pending", f"the image of {name}, which it needs, is not made yet")


def _explain_ambiguity(target: Target, name: str, statuses: Sequence[Outcome | None]) -> Waiting | None:
    """Return why it is not known which image of a row is meant; None if it is known."""
    images = statuses.count("ok")
    if images > 1:
        why = f"{name} has {images} images and none is approved; approve one, or write @{target.id}#1"
        return Waiting("reference_unapproved", why)
    to_come = sum(status not in {"ok", "filtered", "failed"} for status in statuses)
    if not to_come:
        return None
    return Waiting("reference_pending", f"{plural(to_come, 'image')} of {name}, which it needs, are not made yet")
