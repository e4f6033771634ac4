"""Lists the first rows of a run with links to their images, for a page that is read in an editor."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from operator import ne
from urllib.parse import quote

from imagen_batch.records import ManifestRow, Outcome
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts
from imagen_batch.text import one_line

_MAX_ROWS = 100
_MAX_SAMPLES = 12  # of a row
_UNSENT: Set[Outcome] = frozenset({"not_attempted", "skipped_budget"})


@dataclass(slots=True)
class ListedRow:
    """A row with its samples: number, status, and the file of each image."""

    row: int
    id: str | None
    samples: list[tuple[int, Outcome, str | None]] = field(default_factory=list)
    more: int = 0


class ImageList:
    """Collects the first rows for the list, and counts the others."""

    def __init__(self) -> None:
        self.rows: list[ListedRow] = []
        self.further = 0  # rows beyond those
        self._last = 0

    def add(self, entry: ManifestRow) -> None:
        """Add a sample, in input order."""
        self._add(entry.row.row, entry.row.id, (entry.sample.number, entry.sample.status, entry.sample.file))

    def add_images(self, images: ImageFacts) -> None:
        """Add images, in input order."""
        rows = images.rows.numbers
        if len(self.rows) == _MAX_ROWS and rows[0] != self.rows[-1].row:
            self.further += sum(map(ne, rows, [self._last, *rows[:-1]]))
            self._last = rows[-1]
            return
        for row, id_, number, file in zip(rows, images.rows.ids(), images.numbers, images.files, strict=True):
            self._add(row, id_, (number, "ok", file))

    def _add(self, row: int, id_: str | None, sample: tuple[int, Outcome, str | None]) -> None:
        if row != self._last:
            self._last = row
            if len(self.rows) < _MAX_ROWS:
                self.rows.append(ListedRow(row, id_))
            else:
                self.further += 1
        if self.rows[-1].row != row:
            return
        listed = self.rows[-1]
        if len(listed.samples) < _MAX_SAMPLES:
            listed.samples.append(sample)
        else:
            listed.more += 1


def row_lines(rows: list[ListedRow]) -> Iterator[tuple[str, str]]:
    """Yield the name of each row as plain text, and its samples as Markdown. Rows that were not sent are skipped."""
    for row in rows:
        statuses = {status for _, status, _ in row.samples}
        if statuses <= _UNSENT:
            continue
        name = f"row {row.row}" + (f" ({one_line(row.id, 40)})" if row.id else "")
        yield name, _format_samples(row, statuses) + (f" and {row.more:,} more" if row.more else "")


def _format_samples(row: ListedRow, statuses: Set[Outcome]) -> str:
    if len(statuses) == 1 and "ok" not in statuses:
        (status,) = statuses
        return status if len(row.samples) == 1 else f"all {len(row.samples)} {status}"
    return ", ".join(_format_sample(*sample) for sample in row.samples)


def _format_sample(number: int, status: Outcome, file: str | None) -> str:
    if status != "ok" or file is None:
        return f"{number} {status.replace('_', ' ')}"
    return f"[{number}]({quote(file.encode(errors='surrogateescape'), safe='/-_.~')})"
