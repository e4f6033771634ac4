"""Divides a manifest's rows into images to export and rows left out, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.options import Options
from imagen_batch.exports.rows.manifest import RunImage, RunManifest
from imagen_batch.exports.rows.splits import Assign, make_assign
from imagen_batch.exports.rows.where import compile_where

_UNWANTED = {"rejected": "rejected", "reject": "rejected", "redo": "redo"}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that is not exported: a refusal, a failure, or an image that a person or `--drop` left out."""

    row: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a run are exported. `dropped` gives the reason for files that `--drop` removes."""

    run: RunManifest
    where: pc.Expression | None
    approved: bool
    assign: Assign
    dropped: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> Iterator[RunImage | LeftOut]:
        """Yield every row that `--where` keeps, in the manifest's order."""
        for batch in self.run.batches():
            for row in self._filter(batch).to_pylist():
                reason = self._reason(row)
                yield LeftOut(row, reason) if reason else RunImage(row, self.assign(row))

    def images(self) -> Iterator[RunImage]:
        """Yield only the images."""
        return (row for row in self.rows() if isinstance(row, RunImage))

    def _filter(self, batch: pa.RecordBatch) -> pa.Table:
        table = pa.Table.from_batches([batch])
        return table if self.where is None else table.filter(self.where)

    def _reason(self, row: Mapping[str, Any]) -> str | None:
        if row["status"] != "ok":
            return str(row["status"])
        review = str(row.get("review") or "").lower()
        if review in _UNWANTED:
            return _UNWANTED[review]
        if not row["file"]:
            return "no_file"
        if self.approved and not review.startswith("approve"):
            return "not_approved"
        return self.dropped.get(row["file"])


def make_selection(run: RunManifest, options: Options, *, divided: bool = True) -> Selection:
    """Return the selection that the options describe. Raises SettingsInvalid.

    `divided`: a column `split` names splits if no option says otherwise.
    """
    if options.approved and "review" not in run.schema.names:
        raise SettingsInvalid(
            f"--approved: nothing in {run.storage.location} has been reviewed: the manifest has no column 'review'"
        )
    where = compile_where(options.where, run.schema) if options.where else None
    return Selection(run, where, options.approved, make_assign(options, run.schema.names, run.text, divided=divided))
