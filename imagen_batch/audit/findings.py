"""Defines the findings of an audit: the kinds of damage in a run's folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

Kind = Literal[
    "missing",  # recorded, but there is no file
    "truncated",  # the file is not a whole image
    "altered",  # a whole image, but not the recorded one
    "mislabelled",  # has the extension, or the manifest row, of another image
    "duplicated",  # the same bytes as a recorded image, or two samples that share one file
    "foreign",  # not in the ledger
    "unrecorded",  # arrived, but the run ended before the ledger recorded it
    "paid_undelivered",  # sent and possibly charged, but no image arrived: a fact about money, not damage
    "stale",  # a table that differs from the ledger
    "irregular",  # a link, a pipe or a folder in place of an image
    "damaged",  # an unreadable line of the ledger, or unreadable settings
    "duplicate",  # the service sent the same bytes for different prompts
    "shape",  # an image whose aspect ratio or size is not the requested one
    "edited",  # a whole image that was changed after it arrived: kept, and not an error
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_LOST_KINDS: tuple[Kind, ...] = ("missing", "truncated", "altered", "irregular")
_IN_ORDER_KINDS: tuple[Kind, ...] = ("edited", "paid_undelivered")
_UNREPAIRED_KINDS: tuple[Kind, ...] = ("foreign", "duplicated", "duplicate", "shape", *_IN_ORDER_KINDS)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `path` is below the folder; None where there never was a file."""

    kind: Kind
    detail: str
    path: str | None = None
    row: int | None = None
    sample: int | None = None
    key: str | None = None  # of the request
    usd: float | None = None  # the most that may have been charged without an image
    found_at: str | None = None  # another file with the recorded bytes of `path`
    locked: bool = False  # an approved image, which is never made again


@dataclass(frozen=True, slots=True)
class Audit:
    """All findings, sorted by kind and row. `checked` is the number of recorded images that were checked."""

    location: str
    checked: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether files, ledger and tables agree. Edited images and possible charges are in order."""
        return not self.damage

    @property
    def damage(self) -> list[Finding]:
        """The findings about files, ledger or tables that do not agree."""
        return [finding for finding in self.findings if finding.kind not in _IN_ORDER_KINDS]

    @property
    def needs_repair(self) -> bool:
        """Whether a repair would change anything."""
        lasting = [finding for finding in self.findings if finding.kind in _UNREPAIRED_KINDS or finding.locked]
        return len(lasting) < len(self.findings)

    @property
    def lost(self) -> list[Finding]:
        """The findings about images of the input whose bytes no longer exist anywhere."""
        lost = (finding for finding in self.of(*_LOST_KINDS) if finding.found_at is None and finding.row is not None)
        return [finding for finding in lost if not finding.locked]

    @property
    def counts(self) -> Counter[Kind]:
        """The number of findings of each kind."""
        return Counter(finding.kind for finding in self.findings)

    def of(self, *kinds: Kind) -> list[Finding]:
        """Return the findings of these kinds."""
        return [finding for finding in self.findings if finding.kind in kinds]


def lock(finding: Finding) -> Finding:
    """Return the finding about a lost image that is approved; only a person can end it."""
    if finding.kind not in _LOST_KINDS or finding.found_at is not None:
        return finding
    detail = f"{finding.detail}; it is approved and never made again: put the file back, or take the approval back"
    return replace(finding, detail=detail, locked=True)


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort by kind, row and sample; findings without a row come last."""
    last = float("inf")
    return tuple(
        sorted(
            findings,
            key=lambda finding: (
                KINDS.index(finding.kind),
                finding.row or last,
                finding.sample or last,
                finding.path or "",
            ),
        )
    )
