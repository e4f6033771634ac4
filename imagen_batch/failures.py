"""Which prompt rows lack a picture, as a file that can be mended and run again?

One line per prompt row: the original cells under the original headers, then what became of it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from imagen_batch.records import Entry, Outcome, PromptRow
from imagen_batch.wording import no_formula

if TYPE_CHECKING:
    import pandas as pd

_LINE_END = "\r\n"
ADDED = ("status", "reason", "http_status", "attempts")

# Where samples of a row lack for different reasons, the first of these is told.
_MOST_TELLING: tuple[Outcome, ...] = ("failed", "filtered", "unknown", "skipped_budget", "not_attempted")


class Failures:
    """Takes entries in input order. Holds back one row, to tell the worst of its samples."""

    def __init__(self, text: TextIO, *, headers: Sequence[str]) -> None:
        # A column of the user's that is called like one of ours steps aside, as in the manifest.
        self._headers = list(headers)
        self._columns = [f"input_{header}" if _folded(header) in ADDED else header for header in headers]
        self._text = text
        self._held: Entry | None = None
        csv.writer(text, lineterminator=_LINE_END).writerow([*self._columns, *ADDED])

    def write(self, entries: Sequence[Entry]) -> None:
        """Take note of those without a picture."""
        self._append([told for entry in entries if (told := self._take(entry))])

    def close(self) -> None:
        """Write the last row; the handle stays open."""
        self._append([self._held] if self._held else [])
        self._held = None

    def _take(self, entry: Entry) -> Entry | None:
        """Hold `entry` back; returns what was held of an earlier row."""
        before = self._held
        if entry.sample.status == "ok":
            return None
        if before is None or before.row.row != entry.row.row:
            self._held = entry
            return before
        if _rank(entry) < _rank(before):
            self._held = entry
        return None

    def _append(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        lines = [self._line(entry) for entry in entries]
        self._frame(lines).to_csv(self._text, index=False, header=False, lineterminator=_LINE_END)

    def _frame(self, lines: Sequence[Sequence[object]]) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415 - half a second that a run without failures does not take

        # object: a row without an HTTP status must not turn the others' into 503.0
        return pd.DataFrame(lines, columns=[*self._columns, *ADDED], dtype=object)

    def _line(self, entry: Entry) -> list[object]:
        cells = _cells(entry.row)
        sample, trace = entry.sample, entry.trace
        reason = no_formula(sample.reason or sample.error)
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
