"""Plans the rows of a block together: rows of the same kind have the same model and options."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imagen_batch.planning.book_shapes import UnknownShape
from imagen_batch.planning.resolve_rows import PlannedRow, ResolvedOptions, RowPlanner

if TYPE_CHECKING:
    from imagen_batch.prompts.row_blocks.rows_as_columns import RowBlock


@dataclass(frozen=True, slots=True)
class PlannedBlock:
    """Consecutive rows whose text is sent as it is, and what those of each kind have in common."""

    rows: RowBlock
    resolved: Sequence[ResolvedOptions]  # of each kind
    samples: Sequence[int]  # of each row
    planner: RowPlanner

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[PlannedRow]:
        """Yield the rows one by one."""
        return map(self.planned, range(len(self)))

    def planned(self, at: int) -> PlannedRow:
        """Return one of the rows."""
        planned, _, _ = self.planner.plan_row(self.rows.row(at))
        assert planned is not None, "the row has a problem that its kind does not have"
        planned.samples = self.samples[at]
        return planned


def resolve_kinds(rows: RowBlock, planner: RowPlanner) -> list[ResolvedOptions] | None:
    """Return model and options of each kind of a block's rows; None if these have to be planned one by one."""
    if planner.decides_by_row:
        return None
    try:
        resolved = [planner.resolve(kind) for kind in rows.kinds]
    except UnknownShape:
        return None
    known = [each for each in resolved if each is not None]
    return known if len(known) == len(resolved) else None
