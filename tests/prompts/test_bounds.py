"""A prompt file of any size and shape is read in bounded time and memory, or refused with its line and column."""

import io
import time
from pathlib import Path

import pytest

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import open_prompts
from imagen_batch.prompts.column_names import fold, looks_secret
from imagen_batch.prompts.formats import lines as prompt_lines
from imagen_batch.records import Problem


def read(path: Path, content: bytes | str):
    """The rows of a file and the problems in it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        file = open_prompts(path)
        found = list(file.rows())
        if not any(isinstance(one, Problem) for one in found):
            file.copy_to(io.BytesIO())
    except InputInvalid as error:
        return [], list(error.problems), None
    return [one for one in found if not isinstance(one, Problem)], [o for o in found if isinstance(o, Problem)], file


def test_a_hundred_thousand_empty_columns_are_read_in_a_moment(tmp_path):
    """It took more than a minute: the time grew with the square of the columns."""
    began = time.monotonic()
    rows, problems, file = read(tmp_path / "p.csv", "prompt" + "," * 100_000 + "\n" + "a fox" + "," * 100_000 + "\n")
    assert (len(rows), problems, file.columns) == (1, [], ("prompt",))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("header", ["", "c{}"])
def test_more_columns_than_a_spreadsheet_has_are_refused(tmp_path, header):
    """With or without names, at once."""
    names = ",".join(header.format(number) for number in range(20_000))
    began = time.monotonic()
    _, problems, _ = read(tmp_path / "p.csv", f"prompt,{names}\na fox" + ",x" * 20_000 + "\n")
    assert [one.line for one in problems] == [1]
    assert "at most 16,384" in problems[0].message
    assert time.monotonic() - began < 10


def test_many_columns_without_a_name_are_told_in_a_few_lines(tmp_path):
    """The first ten, then how many more."""
    _, _, file = read(tmp_path / "p.csv", "prompt" + "," * 1000 + "\na fox" + ",x" * 1000 + "\n")
    assert len(file.warnings) == 11
    assert "990 more columns" in file.warnings[-1]


def test_keys_that_never_repeat_are_refused(tmp_path):
    """Every key is a column: their number and the rows together would fill the memory."""
    lines = (f'{{"prompt": "a", "k{number}": 1}}\n' for number in range(20_000))
    _, problems, _ = read(tmp_path / "p.jsonl", "".join(lines))
    assert problems[0].line == 16_384
    assert "different keys" in problems[0].message


@pytest.mark.parametrize("depth", [1, 64, 65, 329, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_a_value_that_is_nested_too_deep_is_named(tmp_path, depth, opens, closes):
    """By line and column when the file is looked at, and not by a crash when the run copies it."""
    value = opens * depth + "1" + closes * depth
    rows, problems, _ = read(tmp_path / "p.jsonl", f'{{"prompt": "a"}}\n{{"prompt": "b", "k": {value}}}\n')
    if depth <= 64:
        assert (len(rows), problems) == (2, [])
        return
    assert [one.line for one in problems] == [2]
    assert "too deep" in problems[0].message
    if depth < 900:  # deeper ones are not read at all
        assert problems[0].column == "k"


@pytest.mark.parametrize(
    ("name", "content"),
    [("p.csv", "prompt,b\na,{}\n"), ("p.txt", "a\n{}\n"), ("p.jsonl", '{{"prompt": "a"}}\n{{"prompt": "{}"}}\n')],
)
def test_a_line_without_an_end_is_not_read_to_its_end(tmp_path, monkeypatch, name, content):
    """It is named by its number."""
    monkeypatch.setattr(prompt_lines, "LONGEST", 1000)
    _, problems, _ = read(tmp_path / name, content.format("x" * 5000))
    assert [one.line for one in problems] == [2]
    assert "more than 1,000 characters" in problems[0].message


def test_a_quote_that_is_never_closed_takes_no_more_than_its_share(tmp_path):
    """Time grows with the size of the file, not with its square."""
    taken = []
    for size in (200_000, 800_000):
        began = time.process_time()
        _, problems, _ = read(tmp_path / "p.csv", "prompt,b\nx,1\n" + '"a fox' + "abc def, xx\n" * size)
        taken.append(time.process_time() - began)
        assert problems[0].line == 3
        assert "never closed" in problems[0].message
    assert taken[1] < 4 * taken[0] * 3


def test_a_lone_carriage_return_ends_a_line(tmp_path):
    """As old spreadsheets write them."""
    rows, problems, _ = read(tmp_path / "p.csv", b"prompt,x\ra,1\rb,2\r")
    assert ([one.line for one in rows], problems) == ([2, 3], [])


@pytest.mark.parametrize("content", [b"prompt,x\0y\na,b\n", b"prompt,x\na\0,b\n"])
def test_a_null_byte_is_told_where_it_is(tmp_path, content):
    """In a name or in a cell."""
    _, problems, _ = read(tmp_path / "p.csv", content)
    assert "NUL" in problems[0].message
    assert problems[0].line in (1, 2)


def test_names_that_look_the_same_are_the_same(tmp_path):
    """A letter with its accent as one character or as two: nobody could choose between such columns."""
    _, problems, _ = read(tmp_path / "p.csv", "prompt,\u00e9,e\u0301\na,1,2\n")
    assert "2 columns have this name" in problems[0].message


@pytest.mark.parametrize("name", ["ｐｒｏｍｐｔ", "\u200bprompt", "prompt\u00a0", "\ufeffPrompt\u200d"])
def test_a_header_is_read_as_it_looks(tmp_path, name):
    """Full-width letters and invisible ones."""
    rows, _, _ = read(tmp_path / "p.csv", f"id,{name}\n1,a fox\n")
    assert rows[0].prompt == "a fox"


def test_a_secret_is_known_by_how_its_name_looks():
    """Full-width letters hide nothing."""
    assert looks_secret("ａｐｉ＿ｋｅｙ")
    assert looks_secret("api\u200b_key")
    assert fold("Ａspect Ratio") == "aspect_ratio"
