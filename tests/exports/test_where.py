"""Tests that `--where` keeps the rows for which an expression is true, and explains an invalid expression."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.rows.where import compile_where
from imagen_batch.prompts.infer_column_types import ColumnType
from imagen_batch.reports.tables.columns.typed_user_columns import typed_schema, with_types

MOMENT = datetime.datetime(2026, 11, 26, 6, 0, tzinfo=datetime.UTC)
TABLE = pa.table(
    {
        "chapter": ["1", "1", "2", None],
        "page": ["1", "02", "x", " 7 "],
        "width": pa.array([512, 1024, 2048, None], pa.int64()),
        "c2pa": [True, False, None, True],
        "prompt": ["a red fox", "Fox in snow", "a dog", "__import__('os')"],
        "sent_at": pa.array(
            [MOMENT, MOMENT + datetime.timedelta(days=1), None, MOMENT], pa.timestamp("ms", tz="UTC")
        ),
        "a column": ["x", "y", "x", "y"],
    }
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("chapter == '1' and width >= 1024", [1]),
        ("chapter == '1' or width > 1024", [0, 1, 2]),
        ("not (chapter == '1')", [2]),
        ("chapter in ('2', '3')", [2]),
        ("chapter not in ['1']", [2]),
        ("'fox' in prompt", [0]),
        ("'fox' in lower(prompt)", [0, 1]),
        ("startswith(prompt, 'a ') and length(prompt) < 6", [2]),
        ("chapter is None", [3]),
        ("width is not None and c2pa", [0]),
        ("page >= 2", [1, 3]),
        ("512 < width <= 2048", [1, 2]),
        ("width / 2 - 256 == 256", [1]),
        ("width / 1000 > 1.01", [1, 2]),
        ("1 / (width - 512) > 0", [1, 2]),
        ("9223372036854775807 + width > 0", [0, 1, 2]),
        ("width > -1", [0, 1, 2]),
        ("sent_at > '2026-11-26T12:00'", [1]),
        ("column('a column') == 'y'", [1, 3]),
        ("c2pa == True", [0, 3]),
        ("prompt == \"__import__('os')\"", [3]),
    ],
)
def test_an_expression_keeps_the_rows_for_which_it_holds(text: str, kept: list[int]) -> None:
    """Empty cells match nothing, and text that is compared with a number is read as a number."""
    numbered = TABLE.append_column("place", pa.array(range(4)))
    assert numbered.filter(compile_where(text, TABLE.schema))["place"].to_pylist() == kept


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "chaptr == '1'",
            "no column 'chaptr'; did you mean chapter? The first line of manifest.csv has all 7 columns",
        ),
        ("chapter = '1'", "equality is written =="),
        ("width", "neither true nor false"),
        ("chapter == None", "column is None"),
        ("width == c2pa", "can't be compared"),
        ("sent_at > 'yesterday'", "not a date"),
        ("__import__('os').system('id')", "not supported"),
        ("open('/etc/passwd')", "open() is not supported"),
        ("prompt.__class__ == 'x'", "not supported"),
        ("[c for c in chapter]", "not supported"),
        ("lambda: 1", "not supported"),
        ("width ** 9 == 1", "not supported"),
        ("chapter in ()", "empty"),
        ("", "can't be read"),
        ("width == 99999999999999999999", "not supported"),
        ("(" * 300 + "width" + ")" * 300 + " > 1", "can't be read"),
        ("not " * 900 + "c2pa", "nested too deeply"),
        ("width > 1 and " * 1000 + "c2pa", "at most 4,000"),
        ("chapter == '\x00'", "can't be read"),
        (r"chapter == '\ud800'", "is not text"),
    ],
)
def test_an_invalid_expression_is_refused_in_one_sentence(text: str, message: str) -> None:
    """Nothing of it is executed."""
    with pytest.raises(SettingsInvalid) as error:
        compile_where(text, TABLE.schema)
    assert message in str(error.value)
    assert len(str(error.value)) < 500


def test_decimals_that_are_compared_as_text_are_written_as_in_the_prompt_file() -> None:
    """`4.0` where whole numbers are written like that, `4` where they are not."""
    for cells, spelling in ((["4.0", "4.5", ""], "4.0"), (["4", "4.5", ""], "4")):
        plain = pa.schema([("rating", pa.string())])
        schema = typed_schema(plain, [ColumnType("decimal", spelling)])
        batch = with_types(pa.RecordBatch.from_arrays([pa.array(cells)], schema=plain), schema)
        table = pa.Table.from_batches([batch]).append_column("place", pa.array(range(3)))
        found = table.filter(compile_where("startswith(rating, '4.')", schema))["place"].to_pylist()
        assert found == [at for at, cell in enumerate(cells) if cell.startswith("4.")]


@given(
    st.lists(
        st.decimals(-(10**15) + 1, 10**15 - 1, allow_nan=False, places=4)
        | st.integers(1, 10**15 - 1).map(lambda number: Decimal(f"{number}.5")),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["4", "4.0"]),
)
@example([Decimal(10**10), Decimal("12345678901.5"), Decimal(-150000000000000)], "4")
@example([Decimal(10**10), Decimal(10**14), Decimal("999999999999999.5")], "4.0")
def test_large_decimals_that_are_compared_as_text_have_no_exponent(numbers: list[Decimal], spelling: str) -> None:
    """The text of each is that of its cell."""
    cells = [repr(float(number)) for number in numbers if abs(number) >= Decimal("0.0001")]
    cells = [cell.removesuffix(".0") if spelling == "4" else cell for cell in cells]
    schema = typed_schema(pa.schema([("size", pa.string())]), [ColumnType("decimal", spelling)])
    table = pa.table([pa.array([float(cell) for cell in cells], pa.float64())], schema=schema)
    for cell in cells:
        kept = table.filter(compile_where(f"startswith(size, {cell!r})", schema))
        assert kept.num_rows == sum(other.startswith(cell) for other in cells)


def test_text_that_is_no_number_is_no_row_and_no_error() -> None:
    """A column of numbers is compared with it as text."""
    schema = typed_schema(pa.schema([("year", pa.string())]), [ColumnType("int")])
    table = pa.table({"year": pa.array([1908, None], pa.int64())}, schema=schema)
    assert table.filter(compile_where("year == 'c. 1908'", schema)).num_rows == 0
    assert table.filter(compile_where("year != 'c. 1908'", schema)).num_rows == 2


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("number > 0.5", [0, 1]),
        ("number == '123456789012345679'", [0]),
        ("number in (17000000, 0.5)", [1]),
        ("number > share", [0, 1]),
        ("-number < 0.5", [0, 1]),
    ],
)
def test_large_whole_numbers_are_compared_with_decimal_numbers_and_text(text: str, kept: list[int]) -> None:
    """As exactly as the other side allows."""
    table = pa.table({"number": [123456789012345679, 17000000, None], "share": [0.5, 0.5, 0.5], "place": range(3)})
    assert table.filter(compile_where(text, table.schema))["place"].to_pylist() == kept
