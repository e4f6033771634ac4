"""Lists the rows that have fewer usable images than --accept wants."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.records import ManifestRow


@dataclass(frozen=True, slots=True)
class ShortRow:
    """A row with fewer usable images than wanted. `asked` is the number of samples that were requested."""

    row: int
    id: str | None
    usable: int
    wanted: int
    asked: int

    @property
    def missing(self) -> int:
        """The number of missing images."""
        return self.wanted - self.usable

    def __str__(self) -> str:
        name = f"row {self.row}" + (f" ({self.id})" if self.id else "")
        return f"{name}: {self.usable} of {self.wanted} after {self.asked} samples"


class Acceptance:
    """Counts the usable images of each row. Rows come in input order, each with all its samples."""

    def __init__(self, accept: int) -> None:
        self._accept = accept
        self._row: ManifestRow | None = None
        self._usable = 0
        self._asked = 0
        self._short: list[ShortRow] = []

    def add(self, entry: ManifestRow) -> None:
        """Count the next sample."""
        if self._row is None or self._row.row.row != entry.row.row:
            self._short += self._current()
            self._row, self._usable, self._asked = entry, 0, 0
        self._asked += 1
        self._usable += entry.sample.status == "ok" and entry.review != "rejected"

    def short_rows(self) -> tuple[ShortRow, ...]:
        """Return the rows that are short, in input order."""
        return (*self._short, *self._current())

    def _current(self) -> list[ShortRow]:
        if self._row is None:
            return []
        row = self._row.row
        wanted = row.samples or self._accept
        return [ShortRow(row.row, row.id, self._usable, wanted, self._asked)] if self._usable < wanted else []
