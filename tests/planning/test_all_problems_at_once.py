"""Every problem of an input is listed at once, whatever else is wrong in the same row or in others."""

import pytest

from imagen_batch.errors import InputInvalid
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.settings import make_settings
from tests.support.runs import TODAY, write_csv


def listed(folder, rows, **settings):
    """Return line, column and message of each problem of an input with these rows."""
    source = write_csv(folder / "p.csv", rows)
    chosen = make_settings({"prompts": str(source), "provider": "simulator", "out": str(folder / "o"), **settings})
    with pytest.raises(InputInvalid) as caught:
        make_plan(chosen, today=TODAY)
    return [(problem.line, problem.column, problem.message) for problem in caught.value.problems]


def row(number, text="x", **cells):
    """Return a row with the columns of these tests."""
    empty = dict.fromkeys(("references", "style", "characters", "model", "shape", "filename", "samples"), "")
    return {"id": number, "prompt": text} | empty | cells


def test_unknown_rows_are_listed_beside_missing_files(tmp_path):
    """Also in the same cell."""
    rows = [row("a", references="nowhere.png"), row("b", references="gone.png;@foxx"), row("c", references="@d")]
    problems = listed(tmp_path, rows)
    assert [(line, "id" in message) for line, _, message in problems] == [
        *((2, False), (3, False), (3, True), (4, True))
    ]
    assert "no row has the id 'foxx'" in problems[2][2]


def test_a_circle_is_listed_beside_other_problems(tmp_path):
    """One of its rows has a problem of its own."""
    rows = [row("a", references="@b"), row("b", references="@a", model="nope"), row("c", samples="x")]
    problems = listed(tmp_path, rows)
    assert [(line, column) for line, column, _ in problems] == [(2, "references"), (3, "model"), (4, "samples")]
    assert "in a circle: 1 -> 2 -> 1" in problems[0][2]


def test_the_id_of_a_row_that_cannot_be_read_is_not_called_unknown(tmp_path):
    """It may be the one that is meant; other problems of references are certain."""
    rows = [row("fox", samples="x"), row("a", references="@fox"), row("b", references="@b")]
    problems = listed(tmp_path, rows)
    assert [(line, column) for line, column, _ in problems] == [(2, "samples"), (4, "references")]


def test_an_unknown_id_is_listed_beside_rows_that_cannot_be_read(tmp_path):
    """Their ids can be read, unless their cells do not fit the columns."""
    rows = [row("fox", samples="x"), row("a", references="@fox;@foxx")]
    problems = listed(tmp_path, rows)
    assert [(line, column) for line, column, _ in problems] == [(2, "samples"), (3, "references")]
    assert "no row has the id 'foxx'" in problems[1][2]
    source = tmp_path / "p.csv"
    source.write_text(source.read_text().replace("fox,x", "fox,x,,,,,,,,,,,", 1))
    with pytest.raises(InputInvalid) as caught:
        make_plan(make_settings({"prompts": str(source), "provider": "simulator"}), today=TODAY)
    assert [problem.line for problem in caught.value.problems] == [2]


def test_a_row_with_a_problem_is_still_a_row_that_others_may_name(tmp_path):
    """Only its own problem is listed."""
    problems = listed(tmp_path, [row("fox", references="nowhere.png"), row("a", references="@fox")])
    assert [line for line, _, _ in problems] == [2]


def test_wrong_style_and_wrong_characters_of_a_row_are_listed_together(tmp_path):
    """Each has its column and its suggestion."""
    (tmp_path / "styles.toml").write_text('ink = "in ink"\n')
    (tmp_path / "cast.csv").write_text("name,description\nMole,a mole\n")
    files = {"styles": str(tmp_path / "styles.toml"), "characters": str(tmp_path / "cast.csv")}
    rows = [row("a", style="inc", characters="Moel;Toad"), row("b", style="ink", characters="Mole")]
    problems = listed(tmp_path, rows, **files)
    assert [(line, column) for line, column, _ in problems] == [(2, "style"), (2, "characters"), (2, "characters")]
    assert "did you mean ink?" in problems[0][2]
    assert "did you mean Mole?" in problems[1][2]


def test_an_unknown_model_hides_no_other_problem_of_its_row(tmp_path):
    """Nor does an unknown shape."""
    cells = {"model": "nope", "shape": "coverr", "references": "nowhere.png", "filename": "../x"}
    problems = listed(tmp_path, [row("a", **cells), row("b", **cells | {"shape": ""})])
    columns = [(line, column) for line, column, _ in problems]
    assert columns == [
        *((2, "shape"), (2, "model"), (2, "references"), (2, "filename")),
        *((3, "model"), (3, "references"), (3, "filename")),
    ]
