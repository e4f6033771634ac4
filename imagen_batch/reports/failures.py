"""Which prompt rows lack a picture, as a file that can be mended and run again?

One line per prompt row: the original cells under the original headers, then what became of it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, TextIO

import orjson

from imagen_batch.records import ManifestRow, Outcome, PromptRow
from imagen_batch.text import no_formula

if TYPE_CHECKING:
    import pandas as pd

_LINE_END = "\r\n"
_MARK_DIGITS = 16
_MARK = re.compile(r"row-([0-9]{1,18})-([0-9a-f]{16})")
MARK = "imagen_batch_row"
"""The column that says which row of the run's input a line is about, whatever a spreadsheet did to the others."""

ADDED = ("status", "reason", "http_status", "attempts", MARK)

# Where samples of a row lack for different reasons, the first of these is told.
_MOST_TELLING: tuple[Outcome, ...] = ("failed", "filtered", "unknown", "skipped_budget", "not_attempted")


class Failures:
    """Takes entries in input order. Holds back one row, to tell the worst of its samples."""

    def __init__(self, text: TextIO, *, headers: Sequence[str]) -> None:
        # A column of the user's that is called like one of ours steps aside, as in the manifest.
        self._headers = list(headers)
        self._columns = [column_of(header) for header in headers]
        self._text = text
        self._held: ManifestRow | None = None
        csv.writer(text, lineterminator=_LINE_END).writerow([*self._columns, *ADDED])

    def write(self, entries: Sequence[ManifestRow]) -> None:
        """Take note of those without a picture."""
        self._append([told for entry in entries if (told := self._take(entry))])

    def close(self) -> None:
        """Write the last row; the handle stays open."""
        self._append([self._held] if self._held else [])
        self._held = None

    def _take(self, entry: ManifestRow) -> ManifestRow | None:
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

    def _append(self, entries: Sequence[ManifestRow]) -> None:
        if not entries:
            return
        lines = [self._line(entry) for entry in entries]
        self._frame(lines).to_csv(self._text, index=False, header=False, lineterminator=_LINE_END)

    def _frame(self, lines: Sequence[Sequence[object]]) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415 - half a second that a run without failures does not take

        # object: a row without an HTTP status must not turn the others' into 503.0
        return pd.DataFrame(lines, columns=[*self._columns, *ADDED], dtype=object)

    def _line(self, entry: ManifestRow) -> list[object]:
        cells = cells_of(entry.row)
        sample, trace = entry.sample, entry.trace
        reason = no_formula(sample.reason or sample.error)
        return [
            *(cells.get(header, "") for header in self._headers),
            *(sample.status, reason, trace.http_status, trace.attempts, mark_of(entry.row)),
        ]


def column_of(header: str) -> str:
    """The name of an original column in failures.csv."""
    return f"input_{header}" if _folded(header) in ADDED else header


def mark_of(row: PromptRow) -> str:
    """Number and content of a row, as text that no spreadsheet takes for a number or a date."""
    content = orjson.dumps(sorted(cells_of(row).items()))
    return f"row-{row.row}-{sha256(content).hexdigest()[:_MARK_DIGITS]}"


def marked_number(mark: str) -> tuple[int, str] | None:
    """Row number and digest of a mark; None where it is none."""
    found = _MARK.fullmatch(mark.strip().lower())
    return (int(found[1]), found[2]) if found else None


def _rank(entry: ManifestRow) -> int:
    return _MOST_TELLING.index(entry.sample.status)


def cells_of(row: PromptRow) -> dict[str, str]:
    """A text file's row has no cells, only its prompt."""
    return dict(row.cells) or {"prompt": row.prompt}


def _folded(header: str) -> str:
    return re.sub(r"[-\s_]+|(?<=[a-z0-9])(?=[A-Z])", "_", header.strip()).lower()
