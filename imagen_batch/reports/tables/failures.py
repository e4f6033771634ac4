"""Writes failures.csv: the prompt rows with missing images, as a file that can be edited and run again.

It has one line for each such row: the original cells under the original headers, the reason, and what can be done.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, TextIO

import orjson

from imagen_batch.records import ManifestRow, Outcome, PromptRow
from imagen_batch.reports.explain_refusal import explain, refusal_of
from imagen_batch.text import no_formula

if TYPE_CHECKING:
    import pandas as pd

_LINE_END = "\r\n"
_MARK_DIGITS = 16
_MARK = re.compile(r"row-([0-9]{1,18})-([0-9a-f]{16})")
MARK = "imagen_batch_row"
"""The column that identifies the row of the run's input, whatever a spreadsheet did to the other columns."""

ADVICE = "imagen_batch_advice"
"""The column with the advice about a refused row."""

ADDED = ("status", "reason", "http_status", "attempts", MARK, ADVICE)

# Where the samples of a row failed for different reasons, the first of these is reported.
_BY_IMPORTANCE: tuple[Outcome, ...] = ("failed", "filtered", "unknown", "skipped_budget", "not_attempted")


class Failures:
    """Writes failures.csv from samples in input order. Holds one row back to report the most important sample."""

    def __init__(self, text: TextIO, *, headers: Sequence[str]) -> None:
        # A user's column with the name of one of ours is renamed, as in the manifest.
        self._headers = list(headers)
        self._columns = [failures_column(header) for header in headers]
        self._text = text
        self._held: ManifestRow | None = None
        csv.writer(text, lineterminator=_LINE_END).writerow([*self._columns, *ADDED])

    def write(self, entries: Sequence[ManifestRow]) -> None:
        """Add samples; those with an image are ignored."""
        self._append([complete for entry in entries if (complete := self._hold(entry))])

    def close(self) -> None:
        """Write the last row; the handle stays open."""
        self._append([self._held] if self._held else [])
        self._held = None

    def _hold(self, entry: ManifestRow) -> ManifestRow | None:
        """Hold `entry` back; returns the sample to report for an earlier row, which is complete now."""
        held = self._held
        if entry.sample.status == "ok" or entry.replaced:
            return None
        if held is None or held.row.row != entry.row.row:
            self._held = entry
            return held
        if _BY_IMPORTANCE.index(entry.sample.status) < _BY_IMPORTANCE.index(held.sample.status):
            self._held = entry
        return None

    def _append(self, entries: Sequence[ManifestRow]) -> None:
        if not entries:
            return
        lines = [self._line(entry) for entry in entries]
        self._frame(lines).to_csv(self._text, index=False, header=False, lineterminator=_LINE_END)

    def _frame(self, lines: Sequence[Sequence[object]]) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415 - takes half a second, which a run without failures saves

        # dtype object: a row without an HTTP status must not turn the others' into 503.0
        return pd.DataFrame(lines, columns=[*self._columns, *ADDED], dtype=object)

    def _line(self, entry: ManifestRow) -> list[object]:
        cells = original_cells(entry.row)
        sample, trace = entry.sample, entry.trace
        reason = no_formula(sample.reason or sample.error)
        return [
            *(cells.get(header, "") for header in self._headers),
            *(sample.status, reason, trace.http_status, trace.attempts, make_mark(entry.row)),
            explain(refusal_of(entry), entry.prompt).text if sample.status == "filtered" else "",
        ]


def failures_column(header: str) -> str:
    """Return the name in failures.csv of a column of the input."""
    return f"input_{header}" if _folded(header) in ADDED else header


def make_mark(row: PromptRow) -> str:
    """Return the number and a digest of a row, as text that no spreadsheet takes for a number or a date."""
    content = orjson.dumps(sorted(original_cells(row).items()))
    return f"row-{row.row}-{sha256(content).hexdigest()[:_MARK_DIGITS]}"


def parse_mark(mark: str) -> tuple[int, str] | None:
    """Return the row number and digest in a mark; None if the text is not a mark."""
    match = _MARK.fullmatch(mark.strip().lower())
    return (int(match[1]), match[2]) if match else None


def original_cells(row: PromptRow) -> dict[str, str]:
    """Return the cells of a row by header. A row of a text file has no cells, only its prompt."""
    return dict(row.cells) or {"prompt": row.input_prompt or row.prompt}


def _folded(header: str) -> str:
    return re.sub(r"[-\s_]+|(?<=[a-z0-9])(?=[A-Z])", "_", header.strip()).lower()
