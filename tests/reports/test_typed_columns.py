"""Tests that the user's columns have types in Parquet, and that their text is never lost."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch import read_manifest
from imagen_batch.audit.audit import audit
from imagen_batch.exports.export import export
from imagen_batch.prompts.infer_column_types import ColumnType, ColumnTypes
from imagen_batch.reports.tables.columns.typed_user_columns import as_typed, cell_text
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.simulator import Simulator
from imagen_batch.storage import Folder
from tests.support.entries import entry
from tests.support.runs import FinishedRun, run, write_csv

ROWS = [
    {
        "prompt": "a mole",
        "year": "1908",
        "rating": "4",
        "cover": "TRUE",
        "day": "2026-11-27",
        "isbn": "007",
        "note": "",
    },
    {"prompt": "a rat", "year": "", "rating": "4.5", "cover": "FALSE", "day": "", "isbn": "1e5", "note": "x"},
    {"prompt": "a toad", "year": "1931", "rating": "", "cover": "", "day": "1908-10-08", "isbn": "", "note": "NaN"},
]
USER = tuple(ROWS[0])[1:]
TYPED = [
    {"year": 1908, "rating": 4.0, "cover": True, "day": date(2026, 11, 27), "isbn": "007", "note": None},
    {"year": None, "rating": 4.5, "cover": False, "day": None, "isbn": "1e5", "note": "x"},
    {"year": 1931, "rating": None, "cover": None, "day": date(1908, 10, 8), "isbn": None, "note": "NaN"},
]


@pytest.fixture
def done(tmp_path: Path) -> FinishedRun:
    """Return a finished run with columns of each type."""
    with Simulator() as sim:
        return run(write_csv(tmp_path / "book.csv", ROWS), sim)


def _users(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in USER} for row in rows]


def _read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_both_parquet_tables_have_the_types_and_the_csv_has_the_text(done: FinishedRun) -> None:
    """An empty cell is null, also in a text column."""
    for name in ("manifest", "metadata"):
        assert _users(pq.read_table(done.folder / f"{name}.parquet").to_pylist()) == TYPED
    assert _users(_read_csv(done.folder / "manifest.csv")) == [{name: row[name] for name in USER} for row in ROWS]


def test_the_audit_finds_the_same_types(done: FinishedRun) -> None:
    """It infers them from the run's copy of the input, and reports an altered value."""
    assert audit(done.folder).clean
    path = done.folder / "manifest.parquet"
    table = pq.read_table(path)
    pq.write_table(
        table.set_column(table.column_names.index("year"), table.schema.field("year"), [[1908, None, 1932]]), path
    )
    assert [finding.detail for finding in audit(done.folder).findings] == [
        "column year: 1 row differs; year is 1932, but 1931 in the ledger"
    ]


def _write_as_earlier_versions(folder: Path) -> None:
    """Give the Parquet tables the text columns that an earlier version wrote."""
    texts = {row["prompt"]: row for row in ROWS}
    for name in ("manifest", "metadata"):
        table = pq.read_table(folder / f"{name}.parquet")
        for column in USER:
            cells = [texts[prompt][column] for prompt in table["prompt"].to_pylist()]
            at = table.column_names.index(column)
            table = table.set_column(at, pa.field(column, pa.string()), pa.array(cells, pa.string()))
        pq.write_table(
            table.drop_columns([c for c in ("safety_ratings",) if c in table.column_names]),
            folder / f"{name}.parquet",
        )


def test_tables_of_earlier_versions_are_in_order(done: FinishedRun, tmp_path: Path) -> None:
    """They are read, audited and exported; a changed cell is still found."""
    _write_as_earlier_versions(done.folder)
    assert audit(done.folder).clean
    assert list(read_manifest(done.folder)["year"]) == ["1908", "", "1931"]
    assert export(done.folder, to="csv", out=tmp_path / "old", where="year >= 1908").images == 2
    path = done.folder / "manifest.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("isbn")
    pq.write_table(table.set_column(at, "isbn", pa.array(["008", "1e5", ""])), path)
    assert [finding.kind for finding in audit(done.folder).findings] == ["stale"]


@pytest.mark.parametrize("where", [
    "year >= 1908", "year == '1908'", "cover == 'TRUE'", "day == '2026-11-27'", "startswith(day, '2026')",
    "note == ''", "note is None", "isbn == '007'", "'19' in year", "year != 'x'", "length(rating) == 3",
    "rating == '4'", "year is None", "year == ''", "year != 1908", "cover != 'TRUE'", "not (rating > 4.2)",
])  # fmt: skip
def test_an_expression_means_the_same_for_tables_of_earlier_versions(
    done: FinishedRun, where: str, tmp_path: Path
) -> None:
    """A saved command keeps working."""
    export(done.folder, to="csv", out=tmp_path / "new", where=where)
    _write_as_earlier_versions(done.folder)
    export(done.folder, to="csv", out=tmp_path / "old", where=where)
    new, old = (_read_csv(tmp_path / name / "images.csv") for name in ("new", "old"))
    assert [row["prompt"] for row in new] == [row["prompt"] for row in old] != []


def test_pandas_has_the_types(done: FinishedRun) -> None:
    """Whole numbers stay whole numbers although a cell is empty."""
    manifest = read_manifest(done.folder)
    assert (str(manifest["year"].dtype), str(manifest["cover"].dtype)) == ("Int64", "boolean")
    assert manifest["year"].sum() == 1908 + 1931
    assert manifest["note"].isna().tolist() == [True, False, False]
    assert pd.read_parquet(done.folder / "manifest.parquet")["rating"].mean() == 4.25


def test_exports_have_the_text_where_they_are_text(done: FinishedRun, tmp_path: Path) -> None:
    """This holds for the CSV, its side table, and the names of delivered images."""
    export(done.folder, to="csv", out=tmp_path / "csv")
    assert _users(_read_csv(tmp_path / "csv" / "images.csv")) == [{name: row[name] for name in USER} for row in ROWS]
    export(done.folder, to="folder", out=tmp_path / "f", name_template="{cover}-{rating}-{year}-{day}")
    names = {path.stem for path in (tmp_path / "f").rglob("*.xmp")}
    assert "TRUE-4-1908-2026-11-27.jpg" in names
    export(done.folder, to="parquet", out=tmp_path / "p", split="train=0.5,test=0.5", split_by="rating")
    tables = [pq.read_table(path) for path in (tmp_path / "p" / "data").iterdir()]
    assert {str(table.schema.field("day").type) for table in tables} == {"date32[day]"}


def test_a_cell_that_does_not_fit_the_type_never_breaks_the_table() -> None:
    """A table is written after money was spent; the CSV has the cell."""
    with TemporaryDirectory() as folder:
        user = {"year": ColumnType("int"), "day": ColumnType("date")}
        with TableWriter(
            Folder(Path(folder)), user_columns=user, columns=("prompt", *user), provider="simulator"
        ) as tables:
            tables.add(entry(1, user={"year": "9" * 30, "day": "2026-02-30"}))
            tables.add(entry(2, user={"year": "5", "day": "2026-02-28"}))
        table = pq.read_table(Path(folder, "manifest.parquet"))
        assert (table["year"].to_pylist(), table["day"].to_pylist()) == ([None, 5], [None, date(2026, 2, 28)])
        assert _read_csv(Path(folder, "manifest.csv"))[0]["year"] == "9" * 30


CELLS = st.one_of(
    st.integers(-(10**19), 10**19).map(str),
    st.floats(allow_nan=True).map(repr),
    st.decimals(-1000, 1000, places=2).map(str),
    st.booleans().map(str),
    st.dates().map(str),
    st.sampled_from(["", "true", "TRUE", "007", "4", "4.0", "NaN"]),
    st.text(max_size=5),
)


@settings(max_examples=150, deadline=None)  # it writes files
@given(st.one_of(st.lists(CELLS, max_size=5), st.lists(st.integers().map(str)), st.lists(st.dates().map(str))))
def test_the_text_of_every_cell_can_be_written_again(cells: list[str]) -> None:
    """This is what makes an inferred type harmless."""
    types = ColumnTypes(["x"])
    for cell in cells:
        types.add({"x": cell})
    with TemporaryDirectory() as folder:
        with TableWriter(
            Folder(Path(folder)), user_columns=types.types(), columns=("prompt", "x"), provider="simulator"
        ) as tables:
            for row, cell in enumerate(cells, 1):
                tables.add(entry(row, user={"x": cell}))
        column = pq.read_table(Path(folder, "manifest.parquet"))
    field = column.schema.field("x")
    assert [cell_text(value, field) for value in column["x"].to_pylist()] == cells
    again = as_typed(pa.array(cells, pa.string()), field)
    assert again.to_pylist() == column["x"].to_pylist()
