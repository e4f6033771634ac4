"""What can be wrong with a run's folder, and how is that told?"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from imagen_batch.advice import absolute
from imagen_batch.wording import json_text, printable

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

_SHOWN_OF_A_KIND = 20


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


def audit_text(audit: Audit) -> str:
    """The findings for people: the first few of each kind, and what would be done about them."""
    if audit.clean:
        lines = [f"{audit.place}: clean; {audit.checked} pictures are there and as they came{_but_edited(audit)}"]
    else:
        lines = [f"{audit.place}: damaged, {len(audit.findings)} finding(s); {audit.checked} pictures checked"]
    for kind in KINDS:
        found = audit.of(kind)
        lines += [_line(one) for one in found[:_SHOWN_OF_A_KIND]]
        if len(found) > _SHOWN_OF_A_KIND:
            lines.append(f"  {kind:<16}  and {len(found) - _SHOWN_OF_A_KIND} more (--json lists all)")
    return "\n".join([*lines, *_next(audit)])


def _but_edited(audit: Audit) -> str:
    edited = audit.counts["edited"]
    return f", but for {edited} that you edited and that stay as they are" if edited else ""


def audit_json(audit: Audit) -> str:
    """All findings for programs."""
    counts = audit.counts
    return json_text(
        {
            "schema_version": 1,
            "state": "clean" if audit.clean else "damaged",
            "out": audit.place,
            "checked": audit.checked,
            "counts": {kind: counts[kind] for kind in KINDS},
            "findings": [asdict(finding) for finding in audit.findings],
        },
        option=orjson.OPT_INDENT_2,
    )


def _line(finding: Finding) -> str:
    place = "" if finding.row is None else f"row {finding.row}, sample {finding.sample}: "
    path = f"{finding.path}  " if finding.path else ""
    return f"  {finding.kind:<16}  {printable(path + place + finding.detail)}"


def _next(audit: Audit) -> Iterator[str]:
    """What a repair would do, one line each."""
    anew = audit.lost
    back = [one for one in audit.findings if one.found_at is not None]
    steps = (
        (audit.of("damaged"), "damaged parts to pass over; what their images are is found by their files"),
        (anew, "pictures to make and pay for again; what lies in their place goes to .imagen-batch/set-aside"),
        (back, "pictures to put back from where their bytes were found"),
        (audit.of("unrecorded"), "pictures to record"),
        (audit.of("paid_undelivered"), "pictures to ask for again, unless the run holds what is unknown"),
    )
    if audit.needs_repair:
        yield f"next: imagen-batch audit {shlex.quote(absolute(audit.place))} --repair"
        yield from (f"  {len(found)} {step}" for found, step in steps if found)
        yield "  all tables to write anew from the ledger"
    if audit.of("foreign", "duplicated"):
        yield "foreign and duplicated files are yours to keep or to delete: nothing touches them"
    if audit.of("duplicate", "shape"):
        yield "duplicate images and shapes are as the service sent them; a repair does not buy them again"
