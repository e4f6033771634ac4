"""Tests that cells are read in every spelling, and that an invalid one is reported so that it can be fixed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.prompts import cells
from tests.support.prompt_files import open_content, problems, rows


@pytest.mark.parametrize("text", ["16:9", "16x9", "16X9", "16/9", "16-9", "16 : 9", "16×9"])
def test_a_ratio_may_be_written_in_many_ways(text: str) -> None:
    """All spellings mean the same ratio."""
    assert cells.aspect_ratio(text) == "16:9"


@given(st.integers(1, 99), st.integers(1, 99))
def test_every_plain_ratio_is_accepted(width: int, height: int) -> None:
    """No ordinary ratio is mistaken for a time."""
    assert cells.aspect_ratio(f"{width}:{height}") == f"{width}:{height}"


@pytest.mark.parametrize(
    ("text", "ratio"),
    [
        ("16:09", "16:9"),
        ("16:09:00", "16:9"),
        ("09:16", "9:16"),
        ("1:01:00 AM", "1:1"),
        ("4:09 PM", "16:9"),
        ("04:03", "4:3"),
        ("9:16:00", "9:16"),
    ],
)
def test_a_ratio_that_a_spreadsheet_turned_into_a_time_is_recognized(text: str, ratio: str) -> None:
    """The message has the original ratio."""
    with pytest.raises(ValueError, match=f"spreadsheet turned {ratio} into a time"):
        cells.aspect_ratio(text)


@pytest.mark.parametrize("text", ["11:00", "0:30", "square", "1024x1024", "16:0", "0x9", "16:9:4", "1.91:1"])
def test_text_that_is_not_a_ratio_is_refused(text: str) -> None:
    """The message shows how a ratio is written."""
    with pytest.raises(ValueError, match="written like 16:9"):
        cells.aspect_ratio(text)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        *(("samples", text) for text in ("0", "-1", "1.5", "two", "10001", "1_000", "٣", "9" * 5000)),
        *(("seed", text) for text in ("-1", "4294967296", "0x1", "1e5", "²")),
        *(("image_size", text) for text in ("1024", "1024x1024", "3K", "big")),
        *(("person_generation", text) for text in ("yes", "allow", "adults")),
    ],
)
def test_an_invalid_cell_is_reported_with_line_and_column(tmp_path: Path, column: str, text: str) -> None:
    """The problem also has the text of the cell and the allowed values."""
    (problem,) = problems(open_content(tmp_path, f"prompt,{column}\na,\nb,{text}\n"))
    assert (problem.line, problem.column, problem.found) == (3, column, text[:80])
    assert "one of" in problem.message or "whole number from" in problem.message


@pytest.mark.parametrize(("text", "seed"), [("0", 0), ("4294967295", 2**32 - 1), ("007", 7), ("7.0", 7)])
def test_a_seed_has_32_bits(text: str, seed: int) -> None:
    """Both ends are allowed."""
    assert cells.seed(text) == seed


@pytest.mark.parametrize("text", ["allow_adult", "ALLOW_ADULT", "allow-adult", "Allow adult", " allow adult "])
def test_person_generation_may_be_written_in_many_ways(tmp_path: Path, text: str) -> None:
    """Case, hyphens and spaces do not matter."""
    (row,) = rows(open_content(tmp_path, f"prompt,person_generation\na,{text}\n"))
    assert row.options.person_generation == "allow_adult"


@pytest.mark.parametrize("row", [",,", "  ,1,x", '"\n",1,x'])
def test_an_empty_prompt_is_a_problem(tmp_path: Path, row: str) -> None:
    """A row of delimiters has an empty prompt; a blank line is not a row."""
    (problem,) = problems(open_content(tmp_path, f"prompt,id,note\na,1,x\n\n{row}\n"))
    assert (problem.line, problem.column, problem.message) == (4, "prompt", "empty prompt")


def test_all_problems_of_a_row_are_reported(tmp_path: Path) -> None:
    """The user can fix them at once."""
    file = open_content(tmp_path, "prompt,samples,seed,aspect_ratio\n,x,y,z\n")
    assert {problem.column for problem in problems(file)} == {"prompt", "samples", "seed", "aspect_ratio"}


@pytest.mark.parametrize(("name", "text"), [("p.csv", "prompt,id\na,1\nb\0,2\n"), ("p.txt", "x\n\nb\0\n")])
def test_a_nul_byte_is_reported(tmp_path: Path, name: str, text: str) -> None:
    """No text contains one: the file is damaged."""
    (problem,) = problems(open_content(tmp_path, text, name=name))
    assert (problem.line, problem.column) == (3, "prompt")
    assert "NUL" in problem.message
