"""Looks at a run's history in other ways: what was made, what has lost its file, what was answered lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagen_batch.ledger.history import History
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.records import Outcome


@dataclass(slots=True)
class MadeCounter:
    """A history that counts the images among the samples that are looked up. Each sample is looked up once.

    `waiting` counts the samples that wait for the image of another row.
    """

    history: History | AnsweredSince | WithoutMissingFiles
    made: int = 0
    settled: int = 0  # rejected samples without an image
    waiting: int = 0

    @property
    def reviews(self) -> Reviews:
        """The decisions about samples."""
        return self.history.reviews

    def status(self, base: str, number: int) -> Outcome | None:
        """Return the outcome of a sample; None when nothing is known of it."""
        status = self.history.status(base, number)
        self.made += status == "ok"
        self.settled += status != "ok" and self.reviews.is_settled(base, number)
        return status

    def have_images(self, slots: Sequence[bytes]) -> list[bool]:
        """Return for each sample whether it certainly is "ok", and count those."""
        made = self.history.have_images(slots)
        self.made += sum(made)
        return made


@dataclass(frozen=True, slots=True)
class WithoutMissingFiles:
    """A history in which nothing is known of samples whose files are missing."""

    history: History
    missing: set[tuple[str, int]]

    @property
    def reviews(self) -> Reviews:
        """The decisions about samples."""
        return self.history.reviews

    def status(self, base: str, number: int) -> Outcome | None:
        """Return the outcome of a sample; None when nothing is known of it."""
        return None if (base, number) in self.missing else self.history.status(base, number)

    def have_images(self, slots: Sequence[bytes]) -> list[bool]:
        """Return for each sample whether it certainly is "ok"."""
        return [False] * len(slots) if self.missing else self.history.have_images(slots)


@dataclass(frozen=True, slots=True)
class AnsweredSince:
    """A history in which every sample with a result since a moment counts as done."""

    history: History
    since: float

    @property
    def reviews(self) -> Reviews:
        """The decisions about samples."""
        return self.history.reviews

    def status(self, base: str, number: int) -> Outcome | None:
        """Return the outcome of a sample; "ok" where it had its turn."""
        status = self.history.status(base, number)
        return "ok" if status not in {None, "ok"} and self.is_answered(base, number) else status

    def have_images(self, slots: Sequence[bytes]) -> list[bool]:
        """Return for each sample whether it certainly is "ok"."""
        return self.history.have_images(slots)

    def is_answered(self, base: str, number: int) -> bool:
        """Return whether a result was recorded since then, and no attempt was made after it."""
        details = self.history.details(base, number)
        if details is None or details[0].status != self.history.status(base, number):
            return False
        return (details[1].finished_at or 0.0) >= self.since
