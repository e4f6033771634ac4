"""Tests that delimiter, quotes and surplus cells are read as their author meant them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.prompt_files import open_content, problems, prompts, refusal, rows


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_comes_from_the_header(tmp_path: Path, delimiter: str) -> None:
    """Other delimiters in the rows do not matter."""
    text = f'id{delimiter}prompt\n1{delimiter}"a, b; c | d"\n'
    file = open_content(tmp_path, text)
    assert (file.delimiter, prompts(file)) == (delimiter, ["a, b; c | d"])


def test_the_delimiter_that_finds_the_prompt_wins(tmp_path: Path) -> None:
    """A header with many commas may still be separated by semicolons."""
    file = open_content(tmp_path, '"a, b, c, d";prompt\n1;a fox\n')
    assert (file.delimiter, prompts(file)) == (";", ["a fox"])


@pytest.mark.parametrize("hint", ["sep=;\r\n", '"sep=;"\r\n', "SEP=;\n"])
def test_excels_hint_is_not_a_header(tmp_path: Path, hint: str) -> None:
    """It names the delimiter and counts as a line."""
    (row,) = rows(open_content(tmp_path, f"{hint}prompt;id\na, b;1\n"))
    assert (row.line, row.prompt, row.id) == (3, "a, b", "1")


def test_the_delimiter_can_be_forced(tmp_path: Path) -> None:
    """It is one character, or the word tab."""
    assert prompts(open_content(tmp_path, "prompt,x|id\na,b|1\n", delimiter="|", prompt_column="prompt,x")) == ["a,b"]
    assert prompts(open_content(tmp_path, "prompt\tid\na\t1\n", delimiter="\\t")) == ["a"]
    assert "one character" in refusal(tmp_path, "prompt\n", delimiter="::")[0].message


def test_plain_quotes_in_a_tsv_are_text(tmp_path: Path) -> None:
    """PartiPrompts, for example, writes every character unquoted."""
    text = 'Prompt\tNote\n"G I G" painted in thick letters\t\nold "poker"\t"x"\n"Hello"\tSee "y"\n'
    file = open_content(tmp_path, text, name="p.tsv")
    assert prompts(file) == ['"G I G" painted in thick letters', 'old "poker"', '"Hello"']


def test_a_tsv_cell_keeps_its_quotes_unless_the_file_shows_that_they_were_added(tmp_path: Path) -> None:
    """No program adds quotes to a plain word, or to some texts with commas and not to others."""
    for cell in ('"Hello"', '"Hello, you"'):
        text = f"prompt\tid\n{cell}\t1\na, b\t2\n"
        assert prompts(open_content(tmp_path, text, name="p.tsv")) == [cell, "a, b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('prompt\tid\n"say ""hi"""\t1\n"x"\t2\n', ['say "hi"', "x"]),
        ('prompt\tid\n"two\nlines"\t1\n', ["two\nlines"]),
        ('prompt\tid\n"a\ttab"\t1\n', ["a\ttab"]),
        ('"prompt"\t"id"\n"x"\t"2"\n', ["x"]),
        ('prompt\n"two\nlines"\n', ["two\nlines"]),
        ('prompt\tid\n"a, b"\t1\nc\t2\n', ["a, b", "c"]),
    ],
)
def test_quotes_that_were_added_to_a_tsv_are_removed(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Spreadsheets and CSV libraries add them."""
    assert prompts(open_content(tmp_path, text, name="p.tsv")) == expected


def test_stray_quotes_in_a_tsv_swallow_no_rows(tmp_path: Path) -> None:
    """Two distant quotes could enclose a cell of many lines, but each line has all its cells."""
    text = 'prompt\tid\n"Help\t1\nb\t2\nme"\t3\n'
    assert prompts(open_content(tmp_path, text, name="p.tsv")) == ['"Help', "b", 'me"']


@pytest.mark.parametrize(
    ("row", "found"), [("a,1,2,3", "4 cells"), ("a,1", "2 cells"), ("a", "1 cell"), ("a,1,,x", "4 cells")]
)
def test_a_ragged_row_is_a_problem(tmp_path: Path, row: str, found: str) -> None:
    """It has too many or too few cells, even if only the user's own are missing."""
    (problem,) = problems(open_content(tmp_path, f"prompt,seed,note\nok,1,2\n{row}\n"))
    assert (problem.line, problem.found) == (3, found)
    assert "where the header has 3" in problem.message


def test_empty_cells_beyond_the_header_are_harmless(tmp_path: Path) -> None:
    """A trailing comma on each row is common."""
    assert prompts(open_content(tmp_path, "prompt,id\na,1,\nb,2, ,\n")) == ["a", "b"]


@pytest.mark.parametrize(
    ("header", "row", "joined"),
    [
        ("prompt", "a fox,  running , fast", "a fox,  running , fast"),
        ("prompt", '"a fox", running "now"', '"a fox", running "now"'),
        ("id,prompt", '"1,5",a fox, "red", running', 'a fox, "red", running'),
    ],
)
def test_a_prompt_with_unquoted_commas_is_offered_joined(tmp_path: Path, header: str, row: str, joined: str) -> None:
    """The message shows the prompt that --join-extra would read, and it reads just that."""
    text = f"{header}\n{row}\n"
    (problem,) = problems(open_content(tmp_path, text))
    assert problem.message.endswith(f"give --join-extra to read: {joined}")
    assert prompts(open_content(tmp_path, text, join_extra=True)) == [joined]


def test_joining_needs_the_prompt_at_the_end(tmp_path: Path) -> None:
    """In any other column it is not known which cells belong together."""
    (problem,) = problems(open_content(tmp_path, "prompt,seed\na, b,7\n", join_extra=True))
    assert "last column" in problem.message


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('prompt,id\na,1\n"b,2\nc,3\n', 3, "line 3 is never closed"),
        (
            'prompt,id\n"x\ny",1\n"b,2\n"c",3\n',
            4,
            "Text follows a closing quote in line 5",
        ),
        ('id,prompt\n"x\ny","b\n', 3, "line 3 is never closed"),
        ('prompt\n"G I G" painted\n', 2, "Write quotes inside a cell twice"),
    ],
)
def test_an_unmatched_quote_is_reported_at_the_line_that_opened_it(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    """The line at which the reader noticed it would mislead the user."""
    (problem,) = problems(open_content(tmp_path, text))
    assert problem.line == line
    assert message in problem.message


def test_reading_continues_after_a_bad_quote(tmp_path: Path) -> None:
    """Every problem of the file is reported at once."""
    file = open_content(tmp_path, 'prompt,id\n"a" b,1\n,2\nc,3,4\n')
    assert [problem.line for problem in problems(file)] == [2, 3, 4]


def test_a_header_with_an_open_quote_is_refused(tmp_path: Path) -> None:
    """The problem has the line number."""
    (problem,) = refusal(tmp_path, 'prompt,"id\na,1\n')
    assert (problem.line, problem.message) == (1, "the quote opened in line 1 is never closed")
