"""Tests that every text is read exactly as it is in the file, in every format."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.errors import InputInvalid
from imagen_batch.prompts import open_prompts
from imagen_batch.records import Options, PromptRow
from tests.support.prompt_files import open_content, problems, prompts, refusal, rows

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
TRICKY = st.text(st.sampled_from('a", ;\r\n|\u2028é'), max_size=8)
ROWS = st.lists(st.tuples(TEXT | TRICKY, TEXT | TRICKY), max_size=6)


def as_csv(table: Sequence[tuple[str, ...]], *, delimiter: str = ",") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(table)
    return text.getvalue()


@given(ROWS, st.sampled_from(",;|"))
def test_any_table_of_texts_is_read_back_from_csv(table: list[tuple[str, str]], delimiter: str) -> None:
    """Every character is the same, except blanks at the ends of the prompt."""
    sound = [(prompt, note) for prompt, note in table if prompt.strip()]
    with tempfile.TemporaryDirectory() as folder:
        file = open_content(Path(folder), as_csv([("prompt", "note"), *sound], delimiter=delimiter))
        assert [(row.prompt, row.user["note"]) for row in rows(file)] == [(p.strip(), n) for p, n in sound]


@given(ROWS)
def test_any_table_of_texts_is_read_back_from_tsv(table: list[tuple[str, str]]) -> None:
    """Quotes that csv.writer added are recognized in a TSV as well."""
    sound = [(p.replace("\t", " "), n.replace("\t", " ")) for p, n in table if p.strip()]
    with tempfile.TemporaryDirectory() as folder:
        file = open_content(Path(folder), as_csv([("prompt", "note"), *sound], delimiter="\t"), name="prompts.tsv")
        assert [(row.prompt, row.user["note"]) for row in rows(file)] == [(p.strip(), n) for p, n in sound]


@given(st.lists(TEXT.filter(str.strip), max_size=6))
def test_any_prompts_are_read_back_from_a_file_of_one_column(texts: list[str]) -> None:
    """A file without any delimiter is a table, too."""
    with tempfile.TemporaryDirectory() as folder:
        file = open_content(Path(folder), as_csv([("prompt",), *((text,) for text in texts)]))
        assert prompts(file) == [text.strip() for text in texts]


def test_text_that_looks_like_another_type_stays_text(tmp_path: Path) -> None:
    """A prompt is never read as a null, a number or a formula."""
    texts = ["None", "007", "1e5", "=SUM(A1)", "NA", "nan", "True", "-1", "inf"]
    assert prompts(open_content(tmp_path, "\n".join(["prompt", *texts]))) == texts


def test_a_cell_may_be_very_long(tmp_path: Path) -> None:
    """The csv module stops at 131,072 characters by default."""
    text = "a fox, " * 40_000 + "end"
    assert prompts(open_content(tmp_path, f'prompt\n"{text}"\n')) == [text]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    """Cells that span lines and blank lines count; CR, LF and CRLF may be mixed."""
    file = open_content(tmp_path, 'prompt,id\r\n\r\n"a\r\nb\nc",1\rd,2\n   \ne,3')
    assert [(row.line, row.row, row.prompt, row.id) for row in rows(file)] == [
        (3, 1, "a\r\nb\nc", "1"),
        (6, 2, "d", "2"),
        (8, 3, "e", "3"),
    ]


def test_a_row_has_typed_values(tmp_path: Path) -> None:
    """Each known column sets its field; the user's own columns are kept."""
    text = (
        "id,Prompt,filename,model,N,Aspect Ratio,imageSize,person-generation,negative_prompt,seed,style,Bk\n"
        "r1, a fox ,fox,m1,3,16x9,1k,Allow Adult,blur,7,oil, One \n"
    )
    (row,) = rows(open_content(tmp_path, text))
    header, cells = (line.split(",") for line in text.splitlines())
    options = Options(
        aspect_ratio="16:9",
        image_size="1K",
        person_generation="allow_adult",
        negative_prompt="blur",
        seed=7,
    )
    assert row == PromptRow(
        row=1,
        line=2,
        prompt="a fox",
        id="r1",
        filename="fox",
        model="m1",
        samples=3,
        style="oil",
        options=options,
        cells=dict(zip(header, cells, strict=True)),
        user={"Bk": " One "},
    )


def test_empty_cells_leave_the_choice_to_the_run(tmp_path: Path) -> None:
    """None means not set."""
    (row,) = rows(open_content(tmp_path, "prompt,model,samples,aspect_ratio,seed,style\na fox,, ,,,\n"))
    assert (row.model, row.samples, row.style, row.options) == (None, None, None, Options())


def test_rows_can_be_read_again(tmp_path: Path) -> None:
    """A run reads its input twice."""
    file = open_content(tmp_path, "prompt\na\nb\n")
    assert rows(file) == rows(file)


def test_a_text_file_holds_one_prompt_a_line(tmp_path: Path) -> None:
    """Commas and quotes are plain text there; blank lines are skipped but counted."""
    file = open_content(tmp_path, '"a fox", running\r\n\r\n b \r\n', name="prompts.txt")
    assert [(row.line, row.prompt, row.cells) for row in rows(file)] == [
        (1, '"a fox", running', {"prompt": '"a fox", running'}),
        (3, "b", {"prompt": " b "}),
    ]
    assert (file.format, file.columns, file.user_columns) == ("txt", ("prompt",), ())


def test_a_table_that_is_called_txt_is_reported(tmp_path: Path) -> None:
    """Otherwise the run would pay for an image of its header."""
    assert "looks like a header" in open_content(tmp_path, "id,prompt\n1,a\n", name="p.txt").warnings[0]


def test_json_lines_keep_their_spelling(tmp_path: Path) -> None:
    """Numbers stay as as_csv, nested values become JSON text, a missing key is an empty cell."""
    one = '{"prompt": "a\\nfox", "seed": 7, "n": 2, "weight": 1e5}'
    two = '{"prompt": "b", "tags": ["x", {"y": 1.50}]}'
    file = open_content(tmp_path, f"{one}\n\n{two}\n", name="prompts.jsonl")
    first, second = rows(file)
    assert file.columns == ("prompt", "seed", "n", "weight", "tags")
    assert (first.prompt, first.options.seed, first.samples) == ("a\nfox", 7, 2)
    assert first.user == {"weight": "1e5", "tags": ""}
    assert (second.line, second.user) == (3, {"weight": "", "tags": '["x", {"y": 1.50}]'})


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ('{"prompt": ', "Expecting value"),
        ('["a fox"]', "must be an object"),
        ('{"prompt": "a", "prompt": "b"}', "twice"),
        ('{"prompt": "\\ud800"}', "surrogate"),
        ("[" * 100_000, "too deep"),
        ('{"prompt": "b", "x": ' + "[" * 600 + "]" * 600 + "}", "too deep"),
        ('{"prompt": "a\\u0000"}', "NUL"),
        ('{"prompt": null}', "empty prompt"),
    ],
)
def test_a_bad_json_line_is_reported(tmp_path: Path, bad: str, message: str) -> None:
    """All other lines are still read."""
    file = open_content(tmp_path, f'{{"prompt": "a"}}\n{bad}\n{{"prompt": "c"}}\n', name="prompts.jsonl")
    (problem,) = problems(file)
    assert problem.line == 2
    assert message in problem.message
    assert [each.prompt for each in file.rows() if isinstance(each, PromptRow)] == ["a", "c"]


@pytest.mark.parametrize("name", ["p.json", "stdin"])
def test_a_json_list_is_not_read_as_prompts(tmp_path: Path, name: str) -> None:
    """Otherwise its brackets would be sent."""
    assert "must be an object" in refusal(tmp_path, '[{"prompt": "a"}]', name=name)[0].message


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('\n {"prompt": "a"}\n', "jsonl"),
        ("id,prompt\n1,a\n", "csv"),
        ("Prompt\tid\na\t1\n", "tsv"),
        ("prompt\na\n", "csv"),
        ("a fox, running\na hare\n", "txt"),
        ('"a fox" runs\n', "txt"),
    ],
)
def test_the_content_decides_the_format_where_the_name_has_no_suffix(tmp_path: Path, content: str, kind: str) -> None:
    """Standard input has no suffix."""
    assert open_content(tmp_path, content, name="stdin").format == kind


def test_the_format_can_be_forced(tmp_path: Path) -> None:
    """It overrides the suffix."""
    assert prompts(open_content(tmp_path, "prompt\na, b\n", format="txt")) == ["prompt", "a, b"]
    assert "one of csv, tsv" in refusal(tmp_path, "prompt\n", format="xls")[0].message


@pytest.mark.parametrize("name", ["p.csv", "p.tsv", "p.txt", "p.jsonl", "p"])
@pytest.mark.parametrize("content", ["", "\n  \r\n", "\ufeff"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str, content: str) -> None:
    """This holds for every format."""
    assert refusal(tmp_path, content, name=name)[0].message == "the file is empty"


def test_a_file_that_cannot_be_read_is_refused_with_a_message(tmp_path: Path) -> None:
    """A missing file and a folder are such files."""
    for path, message in [(tmp_path / "none.csv", "No such file"), (tmp_path, "Is a directory")]:
        with pytest.raises(InputInvalid) as caught:
            open_prompts(path)
        assert message in caught.value.problems[0].message


def test_the_sample_file_of_the_project_is_valid() -> None:
    """prompts/demo.csv asks for twenty images."""
    file = open_prompts(Path(__file__).parents[2] / "prompts" / "demo.csv")
    assert sum(row.samples or 1 for row in rows(file)) == 20
    assert (file.user_columns, file.warnings) == (("chapter",), ())
