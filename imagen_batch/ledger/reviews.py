"""Folds a person's decisions and the further versions of samples that were made for them.

Version 1 of a sample has the key of its row. Each further version is ordered once, with a key of its own, and its
request is recorded like any other. A decision is about one version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from imagen_batch.ledger.records import KeptMove, OrderedVersion, ReviewedVersion, ReviewRecord, VersionsRecord
from imagen_batch.records import Outcome

SampleKey = tuple[str, int]
"""Row key and sample number."""

Lookup = Callable[[str, int], Outcome | None]
"""The outcome that is recorded under a row key and a sample number."""


@dataclass(slots=True)
class _Reviewed:
    """The reviews of one sample. `order` is the version to make, `mark` a redo without an order yet."""

    decisions: dict[int, ReviewedVersion] = field(default_factory=dict)  # the latest about each version
    versions: list[OrderedVersion] = field(default_factory=list)  # oldest first
    approved: int | None = None
    mark: ReviewedVersion | None = None
    order: OrderedVersion | None = None

    def copy(self) -> _Reviewed:
        return _Reviewed(dict(self.decisions), list(self.versions), self.approved, self.mark, self.order)


class Reviews:
    """The decisions about samples, and their versions. Samples without a decision take no memory."""

    def __init__(self, recorded: Lookup) -> None:
        self._recorded = recorded
        self._samples: dict[SampleKey, _Reviewed] = {}

    def __bool__(self) -> bool:
        return bool(self._samples)

    def versions(self, base: str, number: int) -> tuple[OrderedVersion, ...]:
        """Return the further versions of a sample that were ordered, oldest first."""
        known = self._samples.get((base, number)) if self._samples else None
        return tuple(known.versions) if known else ()

    def current(self, base: str, number: int) -> OrderedVersion | None:
        """Return the version that stands for a sample; None where that is version 1.

        It is the approved one, else the newest with an image, else the newest that was sent.
        """
        known = self._samples.get((base, number)) if self._samples else None
        if known is None or not known.versions:
            return None
        if known.approved is not None:
            return next((version for version in known.versions if version.version == known.approved), None)
        return self._newest(known, base, number)

    def newest(self, base: str, number: int) -> int:
        """Return the version that a new decision applies to: the newest with an image, else the newest sent."""
        known = self._samples.get((base, number))
        version = self._newest(known, base, number) if known else None
        return 1 if version is None else version.version

    def decision(self, base: str, number: int, version: int) -> ReviewedVersion | None:
        """Return the latest decision about a version; None where there is none, or it was withdrawn."""
        known = self._samples.get((base, number))
        decided = known.decisions.get(version) if known else None
        return decided if decided is not None and decided.decision is not None else None

    def current_decision(self, base: str, number: int) -> ReviewedVersion | None:
        """Return the decision about a sample's current version."""
        if not self._samples:
            return None
        version = self.current(base, number)
        return self.decision(base, number, 1 if version is None else version.version)

    def is_approved(self, base: str, number: int) -> bool:
        """Whether a version of the sample is approved."""
        known = self._samples.get((base, number))
        return known is not None and known.approved is not None

    def is_rejected(self, base: str, number: int) -> bool:
        """Whether the sample's current version is rejected."""
        decided = self.current_decision(base, number)
        return decided is not None and decided.decision == "reject"

    def is_settled(self, base: str, number: int) -> bool:
        """Whether a sample is not to be made again, whatever happened to it or its file."""
        return bool(self._samples) and (self.is_approved(base, number) or self.is_rejected(base, number))

    def approved(self, base: str, samples: int) -> int | None:
        """Return the first approved sample of a row; None where no sample is approved."""
        return next((number for number in range(1, samples + 1) if self.is_approved(base, number)), None)

    def order(self, base: str, number: int) -> OrderedVersion | None:
        """Return the version that is still to be made; None where there is none."""
        known = self._samples.get((base, number)) if self._samples else None
        order = known.order if known else None
        return None if order is None or self._recorded(order.key, number) == "ok" else order

    def mark(self, base: str, number: int) -> ReviewedVersion | None:
        """Return the redo mark of a sample for which no version was ordered yet."""
        known = self._samples.get((base, number)) if self._samples else None
        return known.mark if known else None

    def reviewed(self) -> Iterator[SampleKey]:
        """Return every sample that has a decision or further versions."""
        return iter(self._samples)

    def fold(self, record: ReviewRecord | VersionsRecord) -> None:
        """Add one record."""
        if isinstance(record, ReviewRecord):
            for decided in record.decisions:
                self._decide(decided)
            return
        for version in record.versions:
            known = self._samples.setdefault((version.base, version.number), _Reviewed())
            known.versions.append(version)
            known.order, known.mark = version, None

    def move(self, moves: Iterable[KeptMove]) -> None:
        """Let decisions and versions follow the images of rows that were edited or changed places.

        An edited row starts without redo marks and orders: they were about its earlier text.
        """
        if not self._samples:
            return
        all_moves = [
            ((move.source, number), (move.base, number), move.prompt is not None)
            for move in moves
            for number in move.numbers
        ]
        before = [self._samples.get(source) for source, _, _ in all_moves]
        targets = {target for _, target, _ in all_moves}
        for source, _, edited in all_moves:
            if not edited and source not in targets:
                self._samples.pop(source, None)
        for (_, target, edited), known in zip(all_moves, before, strict=True):
            self._samples.pop(target, None)
            if known is not None:
                moved = self._samples[target] = known.copy()
                if edited:
                    moved.mark = moved.order = None

    def _decide(self, decided: ReviewedVersion) -> None:
        known = self._samples.setdefault((decided.base, decided.number), _Reviewed())
        known.decisions[decided.version] = decided
        known.mark = decided if decided.decision == "redo" else None
        known.order = None  # a newer decision replaces what was ordered for an older one
        if decided.decision == "approve":
            known.approved = decided.version
        elif known.approved == decided.version:
            known.approved = None

    def _newest(self, known: _Reviewed, base: str, number: int) -> OrderedVersion | None:
        for version in reversed(known.versions):
            if self._recorded(version.key, number) == "ok":
                return version
        if self._recorded(base, number) == "ok":
            return None
        sent = (version for version in reversed(known.versions) if self._recorded(version.key, number) is not None)
        return next(sent, None)
