"""Lists the rows that have fewer usable images than --accept wants."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.records import ManifestRow
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts


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
        self._short: list[ShortRow] = []
        self._row: tuple[int, str | None, int] | None = None  # number, id and wanted images of the present row
        self._usable = 0
        self._asked = 0

    def add(self, entry: ManifestRow) -> None:
        """Count the next sample."""
        row = entry.row
        usable = entry.sample.status == "ok" and entry.review != "rejected"
        self._add((row.row, row.id, row.samples or self._accept), is_usable=usable)

    def add_images(self, images: ImageFacts) -> None:
        """Count images without a review."""
        rows = images.rows
        for number, id_, samples in zip(rows.numbers, rows.ids(), rows.requested(), strict=True):
            self._add((number, id_, samples or self._accept), is_usable=True)

    def short_rows(self) -> tuple[ShortRow, ...]:
        """Return the rows that are short, in input order."""
        return (*self._short, *self._current())

    def _add(self, row: tuple[int, str | None, int], *, is_usable: bool) -> None:
        if self._row is None or self._row[0] != row[0]:
            self._short += self._current()
            self._row, self._usable, self._asked = row, 0, 0
        self._asked += 1
        self._usable += is_usable

    def _current(self) -> list[ShortRow]:
        if self._row is None:
            return []
        number, id_, wanted = self._row
        return [ShortRow(number, id_, self._usable, wanted, self._asked)] if self._usable < wanted else []
