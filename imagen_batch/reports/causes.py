"""Groups samples without an image by their common reason.

Two samples share a group when status, error kind, HTTP status and category are the same and their messages differ
only in digits and ids. The number of groups is bounded, however many messages there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imagen_batch.records import ManifestRow, Outcome
from imagen_batch.reports.explain_refusal import Advice, explain, refusal_of
from imagen_batch.text import one_line

_MAX_GROUPS = 200
_ROWS_LISTED = 5
_MAX_SAMPLES = 20
_MAX_MESSAGE = 500
_MAX_ID = 40
_VARYING = re.compile(r"(?<![0-9a-z-])(?=[0-9a-f-]*[0-9])[0-9a-f-]{8,}(?![0-9a-z])|\d+", re.IGNORECASE)
# Messages of these kinds differ with every sample: a model's own remark, the name of a file.
_GROUPED_BY_KIND = (
    *("no_image", "file_missing", "approved_missing"),
    *("reference", "reference_pending", "reference_refused", "reference_failed", "reference_unapproved"),
)
_DEFAULT_MESSAGES: dict[Outcome, str] = {
    "unknown": "sent, but the result is not known; it may have been charged",
    "skipped_budget": "not sent: it did not fit into the budget",
    "not_attempted": "not sent: the run ended first",
}

_Key = tuple[object, ...]


@dataclass(slots=True)
class FailureGroup:
    """One reason and the samples to which it applies. `message` and `example` are those of the first sample."""

    status: Outcome
    error_kind: str | None
    message: str
    http_status: int | None = None
    filter_stage: str | None = None
    filter_category: str | None = None
    filter_codes: tuple[str, ...] = ()
    count: int = 0
    cost_usd: float = 0.0  # the known cost of these samples, although they brought no image
    rows: list[int] = field(default_factory=list)  # the first few, each once
    row_count: int = 0
    last_row: int = 0
    first_samples: list[str] = field(default_factory=list)  # the first few, as ROW:SAMPLE@VERSION
    ids: dict[int, str] = field(default_factory=dict)  # the user's ids of the listed rows that have one
    example: str = ""  # a prompt
    advice: Advice | None = None  # of refused samples

    def add(self, entry: ManifestRow) -> None:
        """Count a sample. Samples are added in input order."""
        self.count += 1
        self.cost_usd += entry.cost_usd or 0.0
        row = entry.row
        if len(self.first_samples) < _MAX_SAMPLES:
            self.first_samples.append(f"{row.row}:{entry.sample.number}@{entry.version}")
        if row.row == self.last_row:
            return
        self.last_row = row.row
        self.row_count += 1
        if self.row_count <= _ROWS_LISTED:
            self.rows.append(row.row)
            if row.id:
                self.ids[row.row] = row.id


class FailureGroups:
    """Builds the groups from the rows of a manifest, one after the other."""

    def __init__(self, *, most_groups: int = _MAX_GROUPS) -> None:
        self._most_groups = most_groups
        self._groups: dict[_Key, FailureGroup] = {}

    def add(self, entry: ManifestRow) -> None:
        """Count a sample without an image."""
        self._group(entry).add(entry)

    def ranked(self) -> tuple[FailureGroup, ...]:
        """Return all groups, the largest first."""
        return tuple(sorted(self._groups.values(), key=lambda group: -group.count))

    def _group(self, entry: ManifestRow) -> FailureGroup:
        key = _key(entry)
        if key in self._groups:
            return self._groups[key]
        if len(self._groups) < self._most_groups:
            return self._groups.setdefault(key, _new_group(entry))
        status, example = entry.sample.status, entry.prompt[:_MAX_MESSAGE]
        other = FailureGroup(status, None, "other causes: see manifest.csv", example=example)
        return self._groups.setdefault((status, "other causes"), other)


def format_rows(rows: Sequence[int], count: int | None, ids: Mapping[int, str]) -> str:
    """Format row numbers with the user's ids: "row 19 (hedgehogs)", "rows 3, 4, 5 and 2 more".

    `count` is the number of all rows of which `rows` are the first; None if it is unknown.
    """
    listed = ", ".join(f"{row} ({one_line(ids[row], _MAX_ID)})" if row in ids else str(row) for row in rows)
    if count is None:
        return f"rows {listed} and more"
    more = f" and {count - len(rows):,} more" if count > len(rows) else ""
    return f"{'row' if count == 1 else 'rows'} {listed}{more}"


def merge_rows(groups: Sequence[FailureGroup]) -> str:
    """Return the rows of several groups as `format_rows` prints them."""
    rows = sorted({row for group in groups for row in group.rows})
    ids = {row: name for group in groups for row, name in group.ids.items()}
    # A row may be in several groups, so the total is known only where each group lists all of its rows.
    complete = all(group.row_count == len(group.rows) for group in groups)
    count = groups[0].row_count if len(groups) == 1 else len(rows) if complete else None
    return format_rows(rows[:_ROWS_LISTED], count, ids)


def _key(entry: ManifestRow) -> _Key:
    sample = entry.sample
    by_kind = sample.error_kind in _GROUPED_BY_KIND
    message = sample.finish_reason if by_kind else fold_message(_message(entry))
    return (sample.status, sample.error_kind, entry.trace.http_status, sample.filter_category, message)


def fold_message(message: str) -> str:
    """Return the message with its digits and ids replaced."""
    return _VARYING.sub("#", message)


def _new_group(entry: ManifestRow) -> FailureGroup:
    sample = entry.sample
    return FailureGroup(
        status=sample.status,
        error_kind=sample.error_kind,
        message=_message(entry),
        http_status=entry.trace.http_status,
        filter_stage=sample.filter_stage,
        filter_category=sample.filter_category,
        filter_codes=sample.filter_codes,
        example=entry.prompt[:_MAX_MESSAGE],
        advice=explain(refusal_of(entry), entry.prompt) if sample.status == "filtered" else None,
    )


def _message(entry: ManifestRow) -> str:
    sample = entry.sample
    if sample.status in _DEFAULT_MESSAGES:
        return (sample.error or _DEFAULT_MESSAGES[sample.status])[:_MAX_MESSAGE]
    return (sample.reason or sample.error or "no reason given")[:_MAX_MESSAGE]
