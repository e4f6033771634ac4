"""Tests that any prompt file is read in bounded time and memory, or refused with the line and column."""

import io
import time
from pathlib import Path

import pytest

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import open_prompts
from imagen_batch.prompts.column_names import fold, looks_secret
from imagen_batch.prompts.formats import bounded_lines as prompt_lines
from imagen_batch.records import Problem


def read(path: Path, content: bytes | str):
    """Return the rows of a file with this content, its problems, and the file."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        file = open_prompts(path)
        rows = list(file.rows())
        if not any(isinstance(row, Problem) for row in rows):
            file.copy_to(io.BytesIO())
    except InputInvalid as error:
        return [], list(error.problems), None
    problems = [row for row in rows if isinstance(row, Problem)]
    return [row for row in rows if not isinstance(row, Problem)], problems, file


def test_a_hundred_thousand_empty_columns_are_read_in_seconds(tmp_path):
    """The time must not grow with the square of the number of columns."""
    started = time.monotonic()
    rows, problems, file = read(tmp_path / "p.csv", "prompt" + "," * 100_000 + "\n" + "a fox" + "," * 100_000 + "\n")
    assert (len(rows), problems, file.columns) == (1, [], ("prompt",))
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("header", ["", "c{}"])
def test_more_columns_than_a_spreadsheet_has_are_refused(tmp_path, header):
    """They are refused at once, with or without names."""
    names = ",".join(header.format(number) for number in range(20_000))
    started = time.monotonic()
    _, problems, _ = read(tmp_path / "p.csv", f"prompt,{names}\na fox" + ",x" * 20_000 + "\n")
    assert [problem.line for problem in problems] == [1]
    assert "at most 16,384" in problems[0].message
    assert time.monotonic() - started < 10


def test_many_columns_without_a_name_are_reported_in_a_few_lines(tmp_path):
    """The warnings name the first ten and count the others."""
    _, _, file = read(tmp_path / "p.csv", "prompt" + "," * 1000 + "\na fox" + ",x" * 1000 + "\n")
    assert len(file.warnings) == 11
    assert "990 more columns" in file.warnings[-1]


def test_keys_that_never_repeat_are_refused(tmp_path):
    """Every key is a column: so many columns and rows together would fill the memory."""
    lines = (f'{{"prompt": "a", "k{number}": 1}}\n' for number in range(20_000))
    _, problems, _ = read(tmp_path / "p.jsonl", "".join(lines))
    assert problems[0].line == 16_384
    assert "different keys" in problems[0].message


@pytest.mark.parametrize("depth", [1, 64, 65, 329, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_a_value_that_is_nested_too_deeply_is_reported(tmp_path, depth, opens, closes):
    """The problem has the line and column; copying the file does not crash."""
    value = opens * depth + "1" + closes * depth
    rows, problems, _ = read(tmp_path / "p.jsonl", f'{{"prompt": "a"}}\n{{"prompt": "b", "k": {value}}}\n')
    if depth <= 64:
        assert (len(rows), problems) == (2, [])
        return
    assert [problem.line for problem in problems] == [2]
    assert "too deep" in problems[0].message
    if depth < 900:  # deeper values are not parsed at all
        assert problems[0].column == "k"


@pytest.mark.parametrize(
    ("name", "content"),
    [("p.csv", "prompt,b\na,{}\n"), ("p.txt", "a\n{}\n"), ("p.jsonl", '{{"prompt": "a"}}\n{{"prompt": "{}"}}\n')],
)
def test_a_line_that_is_too_long_is_not_read_to_its_end(tmp_path, monkeypatch, name, content):
    """The problem has its line number."""
    monkeypatch.setattr(prompt_lines, "LONGEST", 1000)
    _, problems, _ = read(tmp_path / name, content.format("x" * 5000))
    assert [problem.line for problem in problems] == [2]
    assert "more than 1,000 characters" in problems[0].message


def test_a_quote_that_is_never_closed_is_found_in_linear_time(tmp_path):
    """The time grows with the size of the file, not with its square."""
    durations = []
    for size in (200_000, 800_000):
        started = time.process_time()
        _, problems, _ = read(tmp_path / "p.csv", "prompt,b\nx,1\n" + '"a fox' + "abc def, xx\n" * size)
        durations.append(time.process_time() - started)
        assert problems[0].line == 3
        assert "never closed" in problems[0].message
    assert durations[1] < 4 * durations[0] * 3


def test_a_lone_carriage_return_ends_a_line(tmp_path):
    """Old spreadsheet programs write such files."""
    rows, problems, _ = read(tmp_path / "p.csv", b"prompt,x\ra,1\rb,2\r")
    assert ([row.line for row in rows], problems) == ([2, 3], [])


@pytest.mark.parametrize("content", [b"prompt,x\0y\na,b\n", b"prompt,x\na\0,b\n"])
def test_a_null_byte_is_reported_with_its_line(tmp_path, content):
    """It may be in the name of a column or in a cell."""
    _, problems, _ = read(tmp_path / "p.csv", content)
    assert "NUL" in problems[0].message
    assert problems[0].line in (1, 2)


def test_names_that_look_the_same_are_the_same(tmp_path):
    """An accented letter may be one character or two: nobody could choose between such columns."""
    _, problems, _ = read(tmp_path / "p.csv", "prompt,\u00e9,e\u0301\na,1,2\n")
    assert "2 columns have this name" in problems[0].message


@pytest.mark.parametrize("name", ["ｐｒｏｍｐｔ", "\u200bprompt", "prompt\u00a0", "\ufeffPrompt\u200d"])
def test_a_header_is_read_as_it_looks(tmp_path, name):
    """Full-width letters count as ordinary ones, and invisible characters do not count."""
    rows, _, _ = read(tmp_path / "p.csv", f"id,{name}\n1,a fox\n")
    assert rows[0].prompt == "a fox"


def test_a_secret_is_recognized_however_its_name_is_encoded():
    """Full-width letters and invisible characters hide nothing."""
    assert looks_secret("ａｐｉ＿ｋｅｙ")
    assert looks_secret("api\u200b_key")
    assert fold("Ａspect Ratio") == "aspect_ratio"
