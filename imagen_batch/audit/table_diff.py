"""Compares a table of the run with the one expected from the ledger, cell by cell."""

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

from imagen_batch.audit.expected import SampleId
from imagen_batch.audit.findings import Finding
from imagen_batch.reports.tables.columns.typed_user_columns import as_typed, type_of
from imagen_batch.reports.tables.manifest import LATER_COLUMNS
from imagen_batch.text import plural

Row = Mapping[str, Any]

_ORDER: Final = [("row", "ascending"), ("sample", "ascending")]
_BATCH: Final = 10_000
_CSV_BLOCK: Final = 32 * 2**20  # must hold a whole row, and a prompt may be long
_NOT_SENT: Final = frozenset({"not_attempted", "skipped_budget"})  # the ledger has a record of neither
_REASONS_OF_A_RUN: Final = frozenset(
    {None, "", "not_named", "beyond_limit", "reference_pending"}
)  # why one run did not send a sample
_LABELS: Final = ("file", "file_name", "sha256", "mimeType", "prompt", "key")  # these identify the image
_OF_FILE: Final = frozenset(
    {"file", "mimeType", "width", "height", "bytes", "sha256", "c2pa", "error", "error_kind"}
)  # what changes with the file of a sample that has a finding of its own


def table_findings(stored: Path, expected: Path, *, reported: Collection[SampleId]) -> Iterator[Finding]:
    """Yield the differences between `stored` and `expected`, two tables of the same name.

    `reported`: samples that have a finding already, which is more specific than a difference in their rows.
    """
    name = expected.name
    if cmp(stored, expected, shallow=False):  # the usual case; needs no memory
        return
    try:
        ours = _read(expected)
        theirs = _with_types(_read(stored), ours.schema)
    except (pa.ArrowException, OSError, KeyError) as error:
        yield Finding("stale", f"can't be read: {str(error).splitlines()[0]}", name)
        return
    yield from _column_findings(name, ours.column_names, theirs.column_names)
    common = [column for column in ours.column_names if column in theirs.column_names]
    different = [column for column in common if not ours[column].equals(theirs[column])]
    if not different and ours.num_rows == theirs.num_rows:
        return
    identifying = [column for column in common if column in {"row", "sample", "status", *_LABELS}]
    chosen = list(dict.fromkeys([*identifying, *different]))
    compared = [column for column in chosen if column not in {"row", "sample"}]
    comparison = _Comparison(name, reported, compared, _numbers_as_text(expected))
    for row, expected_row in _pair(_rows(theirs.select(chosen)), _rows(ours.select(chosen))):
        comparison.add(row, expected_row)
    yield from comparison.findings()


def _column_findings(name: str, ours: Sequence[str], theirs: Sequence[str]) -> Iterator[Finding]:
    missing = [column for column in ours if column not in theirs and column not in LATER_COLUMNS]
    extra = [column for column in theirs if column not in ours]
    if missing:
        yield Finding("stale", f"columns are missing: {', '.join(missing)}", name)
    if extra:
        yield Finding("stale", f"has columns that no run writes: {', '.join(extra)}", name)


def _read(path: Path) -> pa.Table:
    """Read the whole table in the order of the input. The cells of a CSV are text, except row and sample."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
    else:
        with path.open("rb") as text:
            header = csv.open_csv(text, parse_options=_CSV, read_options=_BLOCKS).schema.names
        if len(set(header)) != len(header):
            raise KeyError("two columns have the same name")
        types = dict.fromkeys(header, pa.string()) | {"row": pa.int64(), "sample": pa.int64()}
        convert = csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        table = csv.read_csv(path, read_options=_BLOCKS, parse_options=_CSV, convert_options=convert)
    for column in ("row", "sample"):
        if column not in table.column_names:
            raise KeyError(f"column {column} is missing")
        numbers = pc.fill_null(table[column].cast(pa.int64()), 0)
        table = table.set_column(table.column_names.index(column), column, numbers)
    return table.sort_by(_ORDER)


def _with_types(table: pa.Table, expected: pa.Schema) -> pa.Table:
    """Return a table of an earlier version, whose user columns are all text, with the types of the expected one."""
    for index, name in enumerate(table.column_names):
        if name in expected.names:
            table = table.set_column(index, name, as_typed(table[name], expected.field(name)))
    return table


_CSV: Final = csv.ParseOptions(newlines_in_values=True)
_BLOCKS: Final = csv.ReadOptions(block_size=_CSV_BLOCK)


def _rows(table: pa.Table) -> Iterator[Row]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist()


def _is_left_out(row: Row) -> bool:
    return row.get("status") in _NOT_SENT and row.get("error_kind") in _REASONS_OF_A_RUN


def _sample_id(row: Row) -> SampleId:
    return row["row"], row["sample"]


def _pair(rows: Iterator[Row], expected: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """Pair the rows of the same sample. Both iterators are sorted by sample."""
    row, expected_row = next(rows, None), next(expected, None)
    while row or expected_row:
        if expected_row is None or (row and _sample_id(row) < _sample_id(expected_row)):
            yield row, None
            row = next(rows, None)
        elif row is None or _sample_id(expected_row) < _sample_id(row):
            yield None, expected_row
            expected_row = next(expected, None)
        else:
            yield row, expected_row
            row, expected_row = next(rows, None), next(expected, None)


@dataclass(slots=True)
class _Comparison:
    name: str
    reported: Collection[SampleId]
    columns: Sequence[str]
    numbers: Collection[str]  # the columns whose text is compared as a number
    labels: list[tuple[Row, Row]] = field(default_factory=list)
    cells: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[Row, Row]] = field(default_factory=dict)
    statuses: int = 0
    missing: list[Row] = field(default_factory=list)
    extra: list[Row] = field(default_factory=list)

    def add(self, row: Row | None, expected: Row | None) -> None:
        """Compare a row of the table with the expected row."""
        if row is None or expected is None:
            self._add_unpaired(row, expected)
        elif row.get("status") != expected.get("status") and not self._may_differ(row, expected):
            self.statuses += 1
        elif row.get("status") == expected.get("status"):
            self._compare_cells(row, expected)

    def _add_unpaired(self, row: Row | None, expected: Row | None) -> None:
        """Add a row without a counterpart. The dataset has no rows for missing images."""
        of_dataset = "file_name" in self.columns
        if expected is not None and not (of_dataset and _sample_id(expected) in self.reported):
            self.missing.append(expected)
        if row is not None and not (of_dataset and _sample_id(row) in self.reported):
            self.extra.append(row)

    def _may_differ(self, row: Row, expected: Row) -> bool:
        return {row.get("status"), expected.get("status")} <= _NOT_SENT or _sample_id(expected) in self.reported

    def _compare_cells(self, row: Row, expected: Row) -> None:
        ignored = _OF_FILE if _sample_id(expected) in self.reported else frozenset()
        if _is_left_out(row) and _is_left_out(expected):  # the reason is that of the last run, which no record has
            ignored = ignored | {"error", "error_kind"}
        different = [
            column
            for column in self.columns
            if column not in ignored and not _is_same(row[column], expected[column], as_number=column in self.numbers)
        ]
        if any(column in _LABELS for column in different):
            self.labels.append((row, expected))
            return
        for column in different:
            self.cells[column] += 1
            self.first.setdefault(column, (row, expected))

    def findings(self) -> Iterator[Finding]:
        """Yield one finding for each row with another image's label, one for each column, one for all other rows."""
        moved = self._find_moved()
        for row, expected in moved:
            detail = f"has the image of this row in row {row['row']}, sample {row['sample']}"
            yield Finding("mislabelled", detail, self.name, *_sample_id(expected))
        for row, expected in self.labels:
            yield Finding("mislabelled", self._describe_label(row, expected), self.name, *_sample_id(expected))
        for column, count in self.cells.items():
            row, expected = self.first[column]
            rows = f"{plural(count, 'row')} differ{'s' if count == 1 else ''}"
            detail = f"column {column}: {rows}; {_describe(column, row, expected)}"
            yield Finding("stale", detail, self.name, *_sample_id(expected))
        parts = [
            (len(self.missing) - len(moved), "missing"),
            (len(self.extra) - len(moved), "too many"),
            (self.statuses, "with another status than in the ledger"),
        ]
        texts = [f"{plural(count, 'row')} {text}" for count, text in parts if count > 0]
        if texts:
            yield Finding("stale", ", ".join(texts), self.name)

    def _find_moved(self) -> list[tuple[Row, Row]]:
        """Return the extra rows whose image belongs to a sample without a row, with that sample's expected row."""
        column = "file_name" if "file_name" in self.columns else "file"
        by_file = {expected[column]: expected for expected in self.missing if expected[column]}
        return [(row, by_file.pop(row[column])) for row in self.extra if row[column] in by_file]

    def _describe_label(self, row: Row, expected: Row) -> str:
        labels = [column for column in _LABELS if column in self.columns]
        return _describe(next(column for column in labels if row[column] != expected[column]), row, expected)


def _numbers_as_text(expected: Path) -> frozenset[str]:
    """Return the program's own columns of numbers in a CSV: another version may write them with other digits.

    The user's cells are compared as text: `007` and `7` are two texts.
    """
    beside = expected.with_suffix(".parquet")
    if expected.suffix == ".parquet" or not beside.exists():
        return frozenset()
    schema = pq.read_schema(beside)
    return frozenset(field.name for field in schema if not _is_of_user(field) and _is_number_type(field.type))


def _is_of_user(field: pa.Field) -> bool:
    return type_of(field) is not None


def _is_number_type(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_))


def _is_same(cell: Any, expected: Any, *, as_number: bool) -> bool:
    """Whether two cells have the same value."""
    if cell == expected:
        return True
    try:
        return as_number and float(cell) == float(expected)
    except (TypeError, ValueError):  # empty, or not a number
        return False


def _describe(column: str, row: Row, expected: Row) -> str:
    return f"{column} is {_format_cell(row[column])}, but {_format_cell(expected[column])} in the ledger"


def _format_cell(cell: Any) -> str:
    text = "empty" if cell is None or cell == "" else str(cell)
    return text if len(text) <= 80 else f"{text[:80]}..."
