"""Compares a table of the folder with the same table as the ledger gives it, cell by cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from filecmp import cmp
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from imagen_batch.audit.findings import Finding

Place = tuple[int, int]
Row = Mapping[str, Any]

_ORDER: Final = [("row", "ascending"), ("sample", "ascending")]
_BATCH: Final = 10_000
_CSV_BLOCK: Final = 32 * 2**20  # has to hold a whole row, and a prompt may be long
_NOT_SENT: Final = frozenset({"not_attempted", "skipped_budget"})  # the same to a ledger: it knows neither
_LABELS: Final = ("file", "file_name", "sha256", "mimeType", "prompt", "key")  # they tell whose image it is
_OF_FILE: Final = frozenset(
    {"file", "mimeType", "width", "height", "bytes", "sha256", "c2pa", "error", "error_kind"}
)  # what changes with the file of a sample that has a finding of its own


def table_findings(stored: Path, expected: Path, *, reported: Collection[Place]) -> Iterator[Finding]:
    """What `stored` says otherwise than `expected`, a table of the same name.

    `reported`: samples with a finding of their own, which says more than their rows do.
    """
    name = expected.name
    if cmp(stored, expected, shallow=False):  # as it is in nearly all folders: nothing has to be held in memory
        return
    try:
        ours, theirs = _read(expected), _read(stored)
    except (pa.ArrowException, OSError, KeyError) as error:
        yield Finding("stale", f"can't be read: {str(error).splitlines()[0]}", name)
        return
    yield from _columns(name, ours.column_names, theirs.column_names)
    common = [column for column in ours.column_names if column in theirs.column_names]
    different = [column for column in common if not _are_equal(ours[column], theirs[column])]
    if not different and ours.num_rows == theirs.num_rows:
        return
    chosen = list(dict.fromkeys([*_needed(common), *different]))
    comparison = _Comparison(name, reported, [column for column in chosen if column not in {"row", "sample"}])
    for row, wanted in _paired(_rows(theirs.select(chosen)), _rows(ours.select(chosen))):
        comparison.take(row, wanted)
    yield from comparison.findings()


def _needed(columns: Sequence[str]) -> list[str]:
    return [column for column in columns if column in {"row", "sample", "status", *_LABELS}]


def _columns(name: str, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[Finding]:
    missing = [column for column in ours if column not in theirs]
    surplus = [column for column in theirs if column not in ours]
    if missing:
        yield Finding("stale", f"lacks column(s) {', '.join(missing)}", name)
    if surplus:
        yield Finding("stale", f"has column(s) that no run wrote: {', '.join(surplus)}", name)


def _read(path: Path) -> pa.Table:
    """The whole table, sorted as the input is. A CSV's cells are text, but for row and sample."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
    else:
        with path.open("rb") as text:
            header = csv.open_csv(text, parse_options=_CSV, read_options=_BLOCKS).schema.names
        if len(set(header)) != len(header):
            raise KeyError("two columns have one name")
        types = dict.fromkeys(header, pa.string()) | {"row": pa.int64(), "sample": pa.int64()}
        convert = csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        table = csv.read_csv(path, read_options=_BLOCKS, parse_options=_CSV, convert_options=convert)
    for place in ("row", "sample"):
        at = table.column_names.index(place) if place in table.column_names else -1
        if at < 0:
            raise KeyError(f"there is no column {place}")
        table = table.set_column(at, place, pc.fill_null(table[place].cast(pa.int64()), 0))
    return table.sort_by(_ORDER)


_CSV: Final = csv.ParseOptions(newlines_in_values=True)
_BLOCKS: Final = csv.ReadOptions(block_size=_CSV_BLOCK)


def _are_equal(ours: pa.ChunkedArray, theirs: pa.ChunkedArray) -> bool:
    return len(ours) == len(theirs) and bool(ours.equals(theirs))


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist()


def _place(row: Row) -> Place:
    return row["row"], row["sample"]


def _paired(rows: Iterator[Row], wanted: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Both, side by side where they are about the same sample. Each comes in the order of its places."""
    row, want = next(rows, None), next(wanted, None)
    while row or want:
        if want is None or (row and _place(row) < _place(want)):
            yield row, None
            row = next(rows, None)
        elif row is None or _place(want) < _place(row):
            yield None, want
            want = next(wanted, None)
        else:
            yield row, want
            row, want = next(rows, None), next(wanted, None)


@dataclass(slots=True)
class _Comparison:
    name: str
    reported: Collection[Place]
    columns: Sequence[str]
    labels: list[tuple[Row, Row]] = field(default_factory=list)
    cells: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[Row, Row]] = field(default_factory=dict)
    statuses: int = 0
    missing: list[Row] = field(default_factory=list)
    surplus: list[Row] = field(default_factory=list)

    def take(self, row: Row | None, wanted: Row | None) -> None:
        """A row of the table, and the row that should stand there."""
        if row is None or wanted is None:
            self._take_single(row, wanted)
        elif row.get("status") != wanted.get("status") and not self._may_differ(row, wanted):
            self.statuses += 1
        elif row.get("status") == wanted.get("status"):
            self._take_cells(row, wanted)

    def _take_single(self, row: Row | None, wanted: Row | None) -> None:
        """A row without its counterpart. The dataset has no rows for images that are gone."""
        of_dataset = "file_name" in self.columns
        if wanted is not None and not (of_dataset and _place(wanted) in self.reported):
            self.missing.append(wanted)
        if row is not None and not (of_dataset and _place(row) in self.reported):
            self.surplus.append(row)

    def _may_differ(self, row: Row, wanted: Row) -> bool:
        return {row.get("status"), wanted.get("status")} <= _NOT_SENT or _place(wanted) in self.reported

    def _take_cells(self, row: Row, wanted: Row) -> None:
        ignored = _OF_FILE if _place(wanted) in self.reported else frozenset()
        different = [
            column for column in self.columns if column not in ignored and not _is_same(row[column], wanted[column])
        ]
        if any(column in _LABELS for column in different):
            self.labels.append((row, wanted))
            return
        for column in different:
            self.cells[column] += 1
            self.first.setdefault(column, (row, wanted))

    def findings(self) -> Iterator[Finding]:
        """One for each row with another image's label, one for each column, one for all rows that don't belong."""
        moved = self._moved()
        for row, wanted in moved:
            detail = f"has the picture of this row in row {row['row']}, sample {row['sample']}"
            yield Finding("mislabelled", detail, self.name, *_place(wanted))
        for row, wanted in self.labels:
            yield Finding("mislabelled", self._difference(row, wanted), self.name, *_place(wanted))
        for column, count in self.cells.items():
            row, wanted = self.first[column]
            detail = f"column {column}: {count} row(s) differ; {_said(column, row, wanted)}"
            yield Finding("stale", detail, self.name, *_place(wanted))
        parts = [
            (len(self.missing) - len(moved), "lacks {} row(s)"),
            (len(self.surplus) - len(moved), "has {} row(s) too many"),
            (self.statuses, "gives {} row(s) another status than the ledger"),
        ]
        said = [text.format(count) for count, text in parts if count > 0]
        if said:
            yield Finding("stale", ", ".join(said), self.name)

    def _moved(self) -> list[tuple[Row, Row]]:
        """Rows whose image is that of a sample which has no row."""
        column = "file_name" if "file_name" in self.columns else "file"
        without = {wanted[column]: wanted for wanted in self.missing if wanted[column]}
        return [(row, without.pop(row[column])) for row in self.surplus if row[column] in without]

    def _difference(self, row: Row, wanted: Row) -> str:
        labels = [column for column in _LABELS if column in self.columns]
        return _said(next(column for column in labels if row[column] != wanted[column]), row, wanted)


def _is_same(cell: Any, wanted: Any) -> bool:
    """Whether two cells say the same. Numbers in a CSV may be written with other digits by another version."""
    if cell == wanted:
        return True
    try:
        return isinstance(cell, str) and isinstance(wanted, str) and float(cell) == float(wanted)
    except ValueError:
        return False


def _said(column: str, row: Row, wanted: Row) -> str:
    return f"says {column} {_shown(row[column])}, the ledger says {_shown(wanted[column])}"


def _shown(cell: Any) -> str:
    text = "nothing" if cell is None or cell == "" else str(cell)
    return text if len(text) <= 80 else f"{text[:80]}..."
