"""What can be wrong with a run's folder, and how is that told?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "missing",  # recorded, and gone
    "truncated",  # there, but not a whole picture
    "altered",  # a whole picture, but not the recorded one
    "mislabelled",  # under an extension, or in a manifest row, that is not its own
    "duplicated",  # the bytes of a recorded picture once more, or two samples with one file between them
    "foreign",  # nothing in the ledger accounts for it
    "unrecorded",  # it came, but the run ended before the ledger had its record
    "paid_undelivered",  # sent and perhaps charged, no picture
    "stale",  # a table that does not tell what the ledger tells
    "irregular",  # a link, a pipe or a folder where an image should be
    "damaged",  # a line of the ledger, or the settings, can't be read
    "duplicate",  # the service sent the same bytes for different prompts
    "shape",  # an image with another aspect ratio or size than was asked for
    "edited",  # a whole image that was changed after it came: kept, and no error
]
KINDS: tuple[Kind, ...] = (
    "missing",
    "truncated",
    "altered",
    "mislabelled",
    "duplicated",
    "foreign",
    "unrecorded",
    "paid_undelivered",
    "stale",
    "irregular",
    "damaged",
    "duplicate",
    "shape",
    "edited",
)

_LOST: tuple[Kind, ...] = ("missing", "truncated", "altered", "irregular")
_NOTHING_TO_DO: tuple[Kind, ...] = ("foreign", "duplicated", "duplicate", "shape", "edited")


@dataclass(frozen=True, slots=True)
class Finding:
    """One damage. `path` is below the folder; None where there never was a file."""

    kind: Kind
    detail: str
    path: str | None = None
    row: int | None = None
    sample: int | None = None
    key: str | None = None  # of the request
    usd: float | None = None  # the most that can have been charged for nothing
    found_at: str | None = None  # where the very bytes that belong to `path` lie


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found, sorted by kind and row. `checked`: recorded pictures of the input that were looked at."""

    place: str
    checked: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether disk, ledger and tables agree. An image that the user edited is in order."""
        return len(self.findings) == self.counts["edited"]

    @property
    def needs_repair(self) -> bool:
        """Whether there is anything that a repair can do."""
        return len(self.of(*_NOTHING_TO_DO)) < len(self.findings)

    @property
    def lost(self) -> list[Finding]:
        """The findings about images of the input whose bytes are nowhere any more."""
        return [one for one in self.of(*_LOST) if one.found_at is None and one.row is not None]

    @property
    def counts(self) -> Counter[Kind]:
        """How many findings of each kind."""
        return Counter(finding.kind for finding in self.findings)

    def of(self, *kinds: Kind) -> list[Finding]:
        """The findings of these kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By kind, row and sample; what belongs to no row comes last."""
    last = float("inf")
    return tuple(
        sorted(
            findings,
            key=lambda one: (KINDS.index(one.kind), one.row or last, one.sample or last, one.path or ""),
        )
    )
