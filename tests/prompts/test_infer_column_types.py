"""Tests that a column has a type only if all of its cells can be written again exactly as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.prompts.infer_column_types import ColumnTypes


def type_of(*cells: str) -> str:
    """Return the type of a column with these cells, with its spelling where it has one."""
    types = ColumnTypes(["x"])
    for cell in cells:
        types.add({"x": cell})
    found = types.types()["x"]
    return f"{found.kind} {found.spelling}".strip()


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("1908", "", "-7", "0"), "int"),
        (("123456789012345678",), "int"),
        (("0.5", "-12.25"), "decimal 4.0"),
        (("4.0", "4.5"), "decimal 4.0"),
        (("4", "4.5", ""), "decimal 4"),
        (("true", "false"), "bool true"),
        (("True", "True"), "bool True"),
        (("FALSE", ""), "bool TRUE"),
        (("2026-11-27", "", "1908-02-29"), "date"),
    ],
)
def test_plain_values_have_a_type(cells: tuple[str, ...], expected: str) -> None:
    """Empty cells do not change it."""
    assert type_of(*cells) == expected


@pytest.mark.parametrize(
    "cell",
    [
        *("007", "1e5", "1E5", "1.50", "+1", "-0", ".5", "5.", "1,000", "1_000", "0x10", "NaN", "nan", "inf", "None"),
        *(" 7", "7 ", "٧", "1234567890123456789", "9007199254740993.5", "0.00001", "1/2", "12:30", "50%"),
        *("yes", "tRue", "2026-02-30", "2026-1-1", "27.11.2026", "2026-11-27T06:00", "0000-01-01", "a"),
    ],
)
def test_any_other_text_stays_text(cell: str) -> None:
    """One such cell is enough for the whole column."""
    assert type_of(cell) == "text"
    assert type_of("7", cell) == type_of(cell, "7") == "text"


@pytest.mark.parametrize(
    "cells",
    [(), ("", ""), ("1", "true"), ("true", "True"), ("4", "4.0"), ("1.5", "1234567890123456"), ("2026-11-27", "7")],
)
def test_columns_without_one_form_are_text(cells: tuple[str, ...]) -> None:
    """Two texts never become the same value: 4 and 4.0 may be versions."""
    assert type_of(*cells) == "text"


def test_a_column_called_split_is_text() -> None:
    """Its words are names of splits."""
    types = ColumnTypes(["Split", "page"])
    types.add({"Split": "1", "page": "1"})
    assert [found.kind for found in types.types().values()] == ["text", "int"]


def test_a_row_without_a_column_counts_as_an_empty_cell() -> None:
    """A matrix adds columns to some rows only."""
    types = ColumnTypes(["x", "y"])
    types.add({"x": "1"})
    types.add({"y": "2026-11-27"})
    assert [found.kind for found in types.types().values()] == ["int", "date"]


@given(st.lists(st.one_of(st.integers().map(str), st.floats().map(repr), st.text(max_size=4)), max_size=6))
def test_the_order_of_rows_does_not_matter(cells: list[str]) -> None:
    """The type depends on the set of cells."""
    assert type_of(*cells) == type_of(*reversed(cells)) == type_of(*cells, *cells)
