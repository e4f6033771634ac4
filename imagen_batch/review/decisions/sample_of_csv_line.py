"""Finds the sample that a line of review.csv is about, even after rows have moved."""

from __future__ import annotations

from collections.abc import Mapping

from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.review.decisions.list_versions import last_version, recorded_versions
from imagen_batch.review.review_csv import Decision

SampleVersion = tuple[str, int, int]
"""Row key, sample number and version."""


class LineFinder:
    """Finds the sample of a line: by a request key, which also identifies the version, else by row and number."""

    def __init__(self, plan: RunPlan, history: History) -> None:
        self._plan = plan
        self._history = history
        self._ids: Mapping[int, str] | None = None  # read only if a line has no key
        self._by_key: Mapping[tuple[str, int], SampleVersion] | None = None

    def find(self, line: Decision) -> SampleVersion | str:
        """Return row key, sample number and version, or the problem of the line."""
        if line.key is not None:
            sample = self._find_in_row(line) or self._samples_by_key().get((line.key, line.sample))
            if sample is None:
                return (
                    "no sample of this run has this key: the row was edited or removed since the review was written"
                )
            return sample
        if not 1 <= line.row <= self._plan.rows:
            return f"the run has {self._plan.rows} rows"
        if (row_id := self._id_of(line.row)) and line.id and line.id != row_id:
            return f"row {line.row} has the id {row_id!r}, not {line.id!r}: give the key from the manifest"
        base, samples = self._plan.index.row_key(line.row), self._plan.index.samples(line.row)
        if line.sample > samples:
            return f"row {line.row} has {samples} samples"
        return self._check_version(base, line.sample, line.version)

    def _id_of(self, row: int) -> str | None:
        if self._ids is None:
            self._ids = {planned.row.row: planned.row.id for planned in self._plan.planned_rows() if planned.row.id}
        return self._ids.get(row)

    def _check_version(self, base: str, number: int, version: int | None) -> SampleVersion | str:
        if version is None:
            return base, number, self._history.reviews.newest(base, number)
        last = last_version(base, number, self._history)
        return (base, number, version) if version <= last else f"the sample has no version {version}"

    def _find_in_row(self, line: Decision) -> SampleVersion | None:
        """Return the sample at the row and number of the line, if its key fits: it nearly always does."""
        if not 1 <= line.row <= self._plan.rows or line.sample > self._plan.index.samples(line.row):
            return None
        base = self._plan.index.row_key(line.row)
        for version, key in recorded_versions(base, line.sample, self._history):
            if key == line.key:
                return base, line.sample, version if line.version is None else line.version
        return None

    def _samples_by_key(self) -> Mapping[tuple[str, int], SampleVersion]:
        """Return all samples by request key and sample number; computed once, and only if rows have moved."""
        if self._by_key is None:
            self._by_key = {
                (key, number): (base, number, version)
                for base, samples in self._plan.index
                for number in range(1, samples + 1)
                for version, key in recorded_versions(base, number, self._history)
            }
        return self._by_key
