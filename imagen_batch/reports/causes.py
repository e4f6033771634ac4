"""Why are pictures missing? Samples without a picture, gathered by what they have in common.

Two samples share a cause when status, kind, HTTP status and category are the same and their messages differ
in digits and ids only. However many messages there are, the groups stay few.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from imagen_batch.records import ManifestRow, Outcome

_MOST_GROUPS = 200
_FIRST_ROWS = 5

_Key = tuple[object, ...]


@dataclass(slots=True)
class FailureGroup:
    """One reason and the samples it struck. `message` and `example` are the first one's."""

    status: Outcome
    error_kind: str | None
    message: str
    http_status: int | None = None
    filter_stage: str | None = None
    filter_category: str | None = None
    filter_codes: tuple[str, ...] = ()
    count: int = 0
    cost_usd: float = 0.0  # what these samples cost although they brought no picture, as far as known
    rows: list[int] = field(default_factory=list)  # the first few, each once
    row_count: int = 0
    last_row: int = 0
    example: str = ""  # a prompt


class FailureGroups:
    """Gathers causes from entries, one after the other."""

    def __init__(self, *, most_groups: int = _MOST_GROUPS) -> None:
        self._most_groups = most_groups
        self._groups: dict[_Key, FailureGroup] = {}

    def add(self, entry: ManifestRow) -> None:
        """Count a sample without a picture."""
        cause = self._group(entry)
        cause.count += 1
        cause.cost_usd += entry.cost_usd or 0.0
        if entry.row.row != cause.last_row:  # entries come in input order
            cause.last_row = entry.row.row
            cause.row_count += 1
            cause.rows += [entry.row.row] if cause.row_count <= _FIRST_ROWS else []

    def ranked(self) -> tuple[FailureGroup, ...]:
        """All causes, the most frequent first."""
        return tuple(sorted(self._groups.values(), key=lambda cause: -cause.count))

    def _group(self, entry: ManifestRow) -> FailureGroup:
        key = _key(entry)
        if key in self._groups:
            return self._groups[key]
        if len(self._groups) < self._most_groups:
            return self._groups.setdefault(key, _first(entry))
        rest: _Key = (entry.sample.status, "other causes")
        return self._groups.setdefault(rest, _other(entry))


def _key(entry: ManifestRow) -> _Key:
    sample = entry.sample
    words = sample.finish_reason if sample.error_kind in _SAYS_IT_ALL else _folded(_message(entry))
    return (sample.status, sample.error_kind, entry.trace.http_status, sample.filter_category, words)


def _first(entry: ManifestRow) -> FailureGroup:
    sample = entry.sample
    return FailureGroup(
        status=sample.status,
        error_kind=sample.error_kind,
        message=_message(entry),
        http_status=entry.trace.http_status,
        filter_stage=sample.filter_stage,
        filter_category=sample.filter_category,
        filter_codes=sample.filter_codes,
        example=entry.prompt[:_LONGEST],
    )


def _other(entry: ManifestRow) -> FailureGroup:
    return FailureGroup(entry.sample.status, None, "other causes: see manifest.csv", example=entry.prompt[:_LONGEST])


def _message(entry: ManifestRow) -> str:
    sample = entry.sample
    if sample.status in _SILENT:
        return (sample.error or _SILENT[sample.status])[:_LONGEST]
    return (sample.reason or sample.error or "no reason given")[:_LONGEST]


def _folded(message: str) -> str:
    return _VARIES.sub("#", message)


_LONGEST = 500
_VARIES = re.compile(r"(?<![0-9a-z-])(?=[0-9a-f-]*[0-9])[0-9a-f-]{8,}(?![0-9a-z])|\d+", re.IGNORECASE)
# Their messages, a model's own remark and a file's name, differ with every sample.
_SAYS_IT_ALL = ("no_image", "file_missing")
_SILENT: dict[Outcome, str] = {
    "unknown": "sent, but what came of it is not known; it may have been charged",
    "skipped_budget": "not sent: it did not fit into the budget",
    "not_attempted": "not sent: the run ended first",
}
