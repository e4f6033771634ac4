"""Tests that a matrix makes variants of each row."""

from __future__ import annotations

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.expansion.matrix import read_matrix
from tests.support.prompt_files import edit_csv
from tests.support.runs import write_csv
from tests.support.shell import manifest

ROWS = [{"id": "cover", "prompt": "a fox", "aspect_ratio": "16:9"}, {"id": "", "prompt": "a hen", "aspect_ratio": ""}]


@pytest.fixture
def run_book(shell, tmp_path, sim):
    """Return a function that runs a small book with further options."""
    write_csv(tmp_path / "book.csv", ROWS)

    def run(*more, source="book.csv"):
        known = ["--provider", "simulator", "--base-url", sim.url, "--out", tmp_path / "out"]
        return shell.run("run", tmp_path / source, *known, *more)

    return run


def row_facts(folder):
    """Return number, id, prompt and aspect ratio of each row of the manifest."""
    return [(row["row"], row["id"], row["prompt"], row["aspect_ratio"]) for row in manifest(folder)]


def test_variants_come_in_the_order_of_the_axes(run_book, tmp_path):
    """Each variant is a row with an id of its own; the matrix replaces the values of rows."""
    result = run_book("--matrix", "style=ink,water color", "--matrix", "aspect_ratio=1:1,3:4")
    assert result.code == 0, result.err
    assert row_facts(tmp_path / "out") == [
        (1, "cover-ink-1x1", "a fox, ink", "1:1"),
        (2, "cover-ink-3x4", "a fox, ink", "3:4"),
        (3, "cover-water-color-1x1", "a fox, water color", "1:1"),
        (4, "cover-water-color-3x4", "a fox, water color", "3:4"),
        (5, "2-ink-1x1", "a hen, ink", "1:1"),
        (6, "2-ink-3x4", "a hen, ink", "3:4"),
        (7, "2-water-color-1x1", "a hen, water color", "1:1"),
        (8, "2-water-color-3x4", "a hen, water color", "3:4"),
    ]
    assert "replaces the values of rows in the column 'aspect_ratio'" in (tmp_path / "out" / "summary.md").read_text()


def test_an_axis_may_be_a_new_column_a_list_in_a_file_or_a_range(run_book, tmp_path):
    """A new column can be used in a template; the manifest has it."""
    (tmp_path / "animals.txt").write_text("fox\n\nold, grey hare\n", encoding="utf-8")
    (tmp_path / "t.txt").write_text("{{ animal }}: {{ prompt }}")
    options = ["--matrix", f"animal=@{tmp_path / 'animals.txt'}", "--matrix", "seed=7..8"]
    result = run_book(*options, "--template", tmp_path / "t.txt")
    assert result.code == 0, result.err
    rows = manifest(tmp_path / "out")
    assert [(row["prompt"], row["seed"], row["animal"]) for row in rows[:4]] == [
        ("fox: a fox", 7, "fox"),
        ("fox: a fox", 8, "fox"),
        ("old, grey hare: a fox", 7, "old, grey hare"),
        ("old, grey hare: a fox", 8, "old, grey hare"),
    ]


def test_resume_knows_the_matrix_without_its_files(shell, run_book, tmp_path, sim):
    """Nothing is sent twice."""
    (tmp_path / "styles.txt").write_text("ink\nchalk\n")
    assert run_book("--matrix", f"style=@{tmp_path / 'styles.txt'}", "--limit", 1).code == 3
    (tmp_path / "styles.txt").unlink()
    (tmp_path / "book.csv").unlink()
    assert shell.run("resume", tmp_path / "out", "--limit", 9).code == 0
    assert len(sim.requests) == 4
    assert [row[1] for row in row_facts(tmp_path / "out")] == ["cover-ink", "cover-chalk", "2-ink", "2-chalk"]


def test_one_more_value_sends_only_its_variants(run_book, tmp_path, sim):
    """The other variants keep their images."""
    assert run_book("--matrix", "style=ink").code == 0
    assert run_book("--matrix", "style=ink,chalk").code == 0
    assert len(sim.requests) == 4


def test_a_line_of_failures_patches_its_variant(shell, run_book, tmp_path, sim):
    """The same command and a resume afterwards send nothing again."""
    matrix = ["--matrix", "style=ink,chalk"]
    assert run_book(*matrix, "--limit", 3).code == 3
    path = tmp_path / "out" / "failures.csv"
    edit_csv(path, lambda rows: rows[0].update(prompt="a goose"))
    result = shell.run("run", path, "--provider", "simulator", "--base-url", sim.url)
    assert result.code == 0, result.err
    assert len(sim.requests) == 4
    expected = [
        ("cover-ink", "a fox, ink"),
        ("cover-chalk", "a fox, chalk"),
        ("2-ink", "a hen, ink"),
        ("2-chalk", "a goose, chalk"),
    ]
    assert [(row["id"], row["prompt"]) for row in manifest(tmp_path / "out")] == expected
    assert run_book(*matrix).code == 0
    assert shell.run("resume", tmp_path / "out").code == 0
    assert len(sim.requests) == 4
    assert [(row["id"], row["prompt"]) for row in manifest(tmp_path / "out")] == expected


def test_added_rows_have_their_own_variants(run_book, tmp_path, sim):
    """The rows of the run stay what they are."""
    assert run_book("--matrix", "style=ink,chalk").code == 0
    write_csv(tmp_path / "more.csv", [{"id": "back", "prompt": "a cat"}])
    result = run_book("--add", "--matrix", "seed=1..2", source="more.csv")
    assert result.code == 0, result.err
    assert len(sim.requests) == 6
    assert [row["id"] for row in manifest(tmp_path / "out")][4:] == ["back-1", "back-2"]


def test_the_plan_counts_and_prices_variants(shell, run_book, tmp_path):
    """The user sees the number and the cost before anything is sent."""
    result = shell.run("plan", tmp_path / "book.csv", "--matrix", "style=a,b", "--matrix", "seed=1..3", "--json")
    assert (result.json["rows"], result.json["variants_of_each_row"], result.json["samples"]) == (12, 6, 12)
    assert result.json["worst_case_usd"] > 12 * 0.0336
    plan_text = shell.run("plan", tmp_path / "book.csv", "--matrix", "style=a,b", "--matrix", "seed=1..3").out
    assert "2 rows x 6 (style 2 x seed 3)" in plan_text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["seed=1..10000", "a=1..1000"], "10,000,000 variants"),
        (["seed=1..99999999"], "at most 100,000"),
        (["seed=4..1"], "must go up"),
        (["prompt=a,b"], "--template"),
        (["id=a"], "own id"),
        (["api_key=a"], "secret"),
        (["style"], "NAME=VALUE"),
        (["style="], "no values"),
        (["style=a,a"], "twice"),
        (["style=a", "Style=b"], "twice"),
        (["ratio=1:1", "aspect_ratio=3:4"], "twice"),
        (["aspect_ratio=wide"], "16:9"),
        (["samples=0"], "whole number"),
        (["style=@/no/such/file"], "No such file"),
        (['mood="calm,wild'], "a quote is not closed"),
        (['mood="calm" wild,dark'], "text follows one that is"),
    ],
)
def test_an_invalid_matrix_is_refused_with_the_reason(options, message):
    """The message names the mistake."""
    with pytest.raises(SettingsInvalid, match=message):
        read_matrix(options)


def test_a_reference_to_a_row_is_not_a_file():
    """`@id` in references is the image of a row."""
    matrix = read_matrix(["references=@fox,@hare"])
    assert matrix is not None
    assert matrix.axes[0].values == ("@fox", "@hare")


def test_an_axis_that_was_stored_is_read_back_unchanged():
    """Commas and quotes in values are kept."""
    matrix = read_matrix(['style="ink, fine",say ""hi"",x', "seed=1..3", 'at="@home",b'])
    assert matrix is not None
    assert read_matrix([axis.as_option() for axis in matrix.axes]) == matrix
