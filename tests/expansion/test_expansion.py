"""Tests that templates, style presets and characters make the prompt that is sent."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from imagen_batch.expansion import load_expansion
from imagen_batch.prompts import open_prompts
from tests.support.prompt_files import edit_csv
from tests.support.runs import write_csv
from tests.support.shell import manifest

ROWS = [
    {"id": "one", "prompt": "the river bank", "characters": "Mole; Rat", "style": "ink", "chapter": "1"},
    {"id": "two", "prompt": "the open road", "characters": "toad", "style": "", "chapter": "2"},
    {"id": "three", "prompt": "the {{ wood }} ${x}", "characters": "", "style": "soft", "chapter": "3"},
]
CHARACTERS = (
    "name,description,references\n"
    "Mole,a small mole in a black waistcoat,sheets/mole.png; a.png\n"
    "Rat,a brown water rat,\nToad,a stout toad in tweed!,\n"
)
STYLES = (
    '\ufeffname,prompt,negative_prompt\nink,"{prompt}, loose ink lines",photo\nsoft,"soft light, pastel",\n---,,\n'
)


@pytest.fixture
def book(tmp_path):
    """The files of a small book."""
    write_csv(tmp_path / "book.csv", ROWS)
    (tmp_path / "people.csv").write_text(CHARACTERS, encoding="utf-8")
    (tmp_path / "styles.csv").write_text(STYLES, encoding="utf-8")
    (tmp_path / "scene.txt").write_text("{{ prompt }}. {{ characters }} Chapter {{ chapter }}.\n", encoding="utf-8")
    (tmp_path / "sheets").mkdir()
    for name in ("sheets/mole.png", "a.png"):
        Image.new("RGB", (8, 8), "gray").save(tmp_path / name)
    return tmp_path


@pytest.fixture
def run_book(shell, book, sim):
    """Return a function that runs the book with further options."""

    def run(*more, source="book.csv"):
        known = ["--provider", "simulator", "--base-url", sim.url, "--out", book / "out"]
        return shell.run("run", book / source, *known, *more)

    return run


def prompts_by_id(folder):
    """Return the prompt that was sent and the row's own text, by id."""
    return {row["id"]: (row["prompt"], row["input_prompt"]) for row in manifest(folder)}


def all_files(book):
    """Return the options for all three files."""
    return ["--template", book / "scene.txt", "--styles", book / "styles.csv", "--characters", book / "people.csv"]


def test_without_the_options_nothing_changes(run_book, book):
    """Braces are plain text, and a style is appended as always."""
    assert run_book().code == 0
    assert prompts_by_id(book / "out") == {
        "one": ("the river bank, ink", None),
        "two": ("the open road", None),
        "three": ("the {{ wood }} ${x}, soft", None),
    }


def test_template_style_and_characters_apply_together(run_book, book):
    """A preset with {prompt} surrounds the prompt, any other is appended; the manifest has both texts."""
    result = run_book(*all_files(book))
    assert result.code == 0, result.err
    assert prompts_by_id(book / "out") == {
        "one": (
            (
                "the river bank. Mole: a small mole in a black waistcoat. Rat: a brown water rat. Chapter 1., "
                "loose ink lines"
            ),
            "the river bank",
        ),
        "two": ("the open road. Toad: a stout toad in tweed! Chapter 2.", "the open road"),
        "three": ("the {{ wood }} ${x}.  Chapter 3. soft light, pastel", "the {{ wood }} ${x}"),
    }


def test_characters_without_a_template_follow_the_prompt(run_book, book):
    """Each description becomes a sentence."""
    assert run_book("--characters", book / "people.csv").code == 0
    prompt, _ = prompts_by_id(book / "out")["one"]
    assert prompt == "the river bank. Mole: a small mole in a black waistcoat. Rat: a brown water rat. ink"


def test_a_template_may_place_style_and_single_characters(run_book, book):
    """A style or description that the template contains is not appended again."""
    (book / "scene.txt").write_text("{{ style }}: {{ char.Mole }}, {{ char['water rat'] }} ({{ id }})")
    (book / "people.csv").write_text('name;description\n"Mole";"a mole"\nWater Rat;a rat\n')
    write_csv(book / "plain.csv", [{"id": "a", "prompt": "x", "style": "ink"}])
    result = run_book(*all_files(book), source="plain.csv")
    assert result.code == 0, result.err
    assert prompts_by_id(book / "out")["a"] == ("loose ink lines: a mole, a rat (a)", "x")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("characters", "Mole; Toaad", "did you mean Toad?"), ("style", "inq", "did you mean ink?")],
)
def test_an_unknown_name_is_invalid_input(run_book, book, sim, column, value, message):
    """The exit code is 5, with the line and the nearest name; nothing is sent."""
    write_csv(book / "book.csv", [ROWS[1], {**ROWS[0], column: value}])
    result = run_book(*all_files(book))
    assert result.code == 5
    assert message in result.err
    assert "line 3" in result.err
    assert not sim.requests


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ chaptr }}", "did you mean chapter or char?"),
        ("{% if %}", "line 1"),
        ("{% include 'x' %}", "'include'"),
    ],
)
def test_an_invalid_template_is_refused(run_book, book, sim, source, message):
    """An invalid template is an invalid setting: exit code 2."""
    (book / "scene.txt").write_text(source)
    result = run_book(*all_files(book))
    assert result.code == 2, result.err
    assert message in result.err
    assert not sim.requests


def test_an_empty_prompt_from_a_template_is_reported_with_its_line(run_book, book, sim):
    """It is invalid input: exit code 5."""
    (book / "scene.txt").write_text("{% if chapter == '2' %}{{ prompt }}{% endif %}")
    result = run_book(*all_files(book))
    assert result.code == 5
    assert "line 2" in result.err
    assert "empty prompt" in result.err


def test_resume_does_not_need_the_files(shell, run_book, book, sim):
    """The run has stored their content, and nothing is sent again."""
    assert run_book(*all_files(book), "--limit", 1).code == 3
    for name in ("scene.txt", "styles.csv", "people.csv", "book.csv"):
        (book / name).unlink()
    assert shell.run("resume", book / "out", "--limit", 9).code == 0
    assert len(sim.requests) == 3
    before = prompts_by_id(book / "out")
    shutil.move(book / "out", book / "moved")
    assert shell.run("resume", book / "moved").code == 0
    assert len(sim.requests) == 3
    assert prompts_by_id(book / "moved") == before
    assert shell.run("audit", book / "moved").code == 0


def test_a_folder_from_a_stranger_reads_no_files_of_this_machine(shell, run_book, book, sim):
    """Its settings may name only files that the run has stored."""
    (book / "secret.txt").write_text("a secret")
    assert run_book(*all_files(book), "--limit", 1).code == 3
    path = book / "out" / ".imagen-batch" / "settings.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "matrix": [f"a=@{book / 'secret.txt'}"]}))
    assert shell.run("resume", book / "out").code == 2
    for name in (str(book / "secret.txt"), ".imagen-batch/expansion/../../../secret.txt"):
        path.write_text(json.dumps({**stored, "template": name}))
        shell.run("resume", book / "out", "--limit", 9)
        assert "a secret" not in str(prompts_by_id(book / "out"))


def test_a_changed_template_sends_only_the_changed_rows_again(run_book, book, sim):
    """All other rows keep their images."""
    assert run_book(*all_files(book)).code == 0
    text = (book / "scene.txt").read_text()
    (book / "scene.txt").write_text(text + "{% if chapter == '2' %} At night.{% endif %}")
    assert run_book(*all_files(book)).code == 0
    assert len(sim.requests) == 4
    assert prompts_by_id(book / "out")["two"][0].endswith("Chapter 2.\n At night.")
    stored = sorted(path.name.partition("-")[0] for path in (book / "out" / ".imagen-batch" / "expansion").iterdir())
    assert stored == ["characters", "styles", "template"]


def test_a_failures_file_of_a_templated_run_patches_its_rows(shell, run_book, book, sim):
    """The cells are the user's own; the stored template applies to them, and paid rows stay."""
    assert run_book(*all_files(book), "--limit", 1).code == 3
    path = book / "out" / "failures.csv"

    def change(rows):
        assert [row["prompt"] for row in rows] == ["the open road", "the {{ wood }} ${x}"]
        rows[0]["prompt"] = "the closed road"

    edit_csv(path, change)
    result = shell.run("run", path, "--base-url", sim.url, "--provider", "simulator")
    assert result.code == 0, result.err
    assert len(sim.requests) == 3
    assert prompts_by_id(book / "out")["two"] == (
        "the closed road. Toad: a stout toad in tweed! Chapter 2.",
        "the closed road",
    )


def test_added_rows_use_the_template_of_the_run(run_book, book, sim):
    """Rows that the run has are not paid for again."""
    assert run_book(*all_files(book)).code == 0
    write_csv(book / "more.csv", [*ROWS, {**ROWS[0], "id": "four", "prompt": "the wide world", "style": ""}])
    result = run_book("--add", source="more.csv")
    assert result.code == 0, result.err
    assert len(sim.requests) == 4
    assert prompts_by_id(book / "out")["four"][0].startswith("the wide world. Mole: a small mole")
    (book / "scene.txt").write_text("other {{ prompt }}")
    result = run_book("--add", "--template", book / "scene.txt", source="more.csv")
    assert result.code == 2
    assert "--template differs" in result.err


def test_references_of_characters_follow_those_of_the_row(book):
    """The row lists each of them once, with absolute paths; the cells stay as the user wrote them."""
    write_csv(book / "refs.csv", [{"prompt": "x", "characters": "Mole", "references": "b.png; @mole"}])
    expansion = load_expansion(template=None, styles=None, characters=str(book / "people.csv"))
    (row,) = expansion.apply_to(open_prompts(book / "refs.csv")).rows()
    assert row.references == ("b.png", "@mole", str(book / "sheets" / "mole.png"), str(book / "a.png"))
    assert row.cells["references"] == "b.png; @mole"


def test_references_of_characters_are_sent(run_book, book, sim):
    """Each image is part of the request, and the manifest names it."""
    assert run_book("--characters", book / "people.csv", "--limit", 1).code == 3
    (request,) = sim.requests
    assert request.body.count(b"inlineData") == 2
    assert manifest(book / "out")[0]["references"].count(".png") == 2


def test_references_of_characters_with_a_semicolon_are_one_reference_each(book):
    """The name of the file is not split."""
    people = book / "people.toml"
    people.write_text('[Mole]\ndescription = "a mole"\nreferences = ["a;b.png"]\n')
    write_csv(book / "refs.csv", [{"prompt": "x", "characters": "Mole"}])
    expansion = load_expansion(template=None, styles=None, characters=str(people))
    (row,) = expansion.apply_to(open_prompts(book / "refs.csv")).rows()
    assert row.references == (str(book / "a;b.png"),)


def test_toml_tables_are_read(run_book, book):
    """A plain string is a preset or a description."""
    (book / "styles.toml").write_text('ink = "ink"\n[soft]\nprompt = "soft {prompt}"\nnegative_prompt = "photo"\n')
    (book / "people.toml").write_text(
        'Mole = "a mole"\nRat = "a rat"\n[Toad]\ndescription = "a toad"\nreferences = []\n'
    )
    result = run_book("--styles", book / "styles.toml", "--characters", book / "people.toml")
    assert result.code == 0, result.err
    assert prompts_by_id(book / "out")["three"][0] == "soft the {{ wood }} ${x}"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("people.csv", b"prompt\nx\n"),
        ("people.csv", b"name,description\n"),
        ("people.csv", b"\xff\xfe\xfd"),
        ("people.toml", b"a = = b"),
        ("people.toml", b"a = 5"),
        ("people.json", b"[" * 100_000),
        ("missing.csv", None),
    ],
)
def test_a_damaged_table_is_refused_with_a_message(run_book, book, sim, name, content):
    """No traceback is printed and nothing is sent."""
    if content is not None:
        (book / name).write_bytes(content)
    result = run_book("--characters", book / name)
    assert result.code == 2
    assert "--characters" in result.err
    assert "Traceback" not in result.err
    assert not sim.requests


def test_the_plan_shows_the_first_prompt_as_it_is_sent(shell, book):
    """The user sees the rendered prompt before paying for its image."""
    result = shell.run("plan", book / "book.csv", *all_files(book), "--provider", "simulator")
    assert result.code == 0
    assert "the river bank. Mole: a small mole" in result.out
    facts = json.loads(shell.run("plan", book / "book.csv", *all_files(book), "--json").out)
    assert facts["first_prompt"].startswith("the river bank. Mole")
