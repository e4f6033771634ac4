"""Which prompt rows lack a picture, as a file that can be mended and run again?

One line per prompt row: the original cells under the original headers, then what became of it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import TextIO

from imagen_batch.records import Entry, Outcome, PromptRow

ADDED = ("status", "reason", "http_status", "attempts")

# Where samples of a row lack for different reasons, the first of these is told.
_MOST_TELLING: tuple[Outcome, ...] = ("failed", "filtered", "unknown", "skipped_budget", "not_attempted")


class Failures:
    """Takes entries in input order. Holds back one row, to tell the worst of its samples."""

    def __init__(self, text: TextIO, *, headers: Sequence[str]) -> None:
        # A header that reads as one of ours would come twice: an earlier failures.csv was the input.
        self._headers = [header for header in headers if _folded(header) not in ADDED]
        self._csv = csv.writer(text, lineterminator="\r\n")
        self._csv.writerow([*self._headers, *ADDED])
        self._held: Entry | None = None

    def write(self, entries: Sequence[Entry]) -> None:
        """Take note of those without a picture."""
        for entry in entries:
            if entry.sample.status != "ok":
                self._take(entry)

    def close(self) -> None:
        """Write the last row; the handle stays open."""
        if self._held is not None:
            self._csv.writerow(self._line(self._held))
            self._held = None

    def _take(self, entry: Entry) -> None:
        if self._held is None or self._held.row.row != entry.row.row:
            self.close()
            self._held = entry
        elif _rank(entry) < _rank(self._held):
            self._held = entry

    def _line(self, entry: Entry) -> list[object]:
        cells = _cells(entry.row)
        sample, trace = entry.sample, entry.trace
        reason = sample.reason or sample.error
        return [
            *(cells.get(header, "") for header in self._headers),
            *(sample.status, reason, trace.http_status, trace.attempts),
        ]


def _rank(entry: Entry) -> int:
    return _MOST_TELLING.index(entry.sample.status)


def _cells(row: PromptRow) -> dict[str, str]:
    """A text file's row has no cells, only its prompt."""
    return dict(row.cells) or {"prompt": row.prompt}


def _folded(header: str) -> str:
    return re.sub(r"[-\s_]+|(?<=[a-z0-9])(?=[A-Z])", "_", header.strip()).lower()
