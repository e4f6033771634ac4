"""Templates, style presets and characters make the prompt that is sent."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from PIL import Image

from imagen_batch.expansion import load_expansion
from imagen_batch.prompts import open_prompts
from imagen_batch.simulator import Simulator
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
def sim():
    """A simulator without faults."""
    with Simulator() as simulator:
        yield simulator


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
def typed(shell, book, sim):
    """Runs the book with more options."""

    def run(*more, source="book.csv"):
        known = ["--provider", "simulator", "--base-url", sim.url, "--out", book / "out"]
        return shell.type("run", book / source, *known, *more)

    return run


def sent(folder):
    """Return what was sent and the row's own text, by id."""
    return {row["id"]: (row["prompt"], row["input_prompt"]) for row in manifest(folder)}


def all_files(book):
    """Return the options for all three files."""
    return ["--template", book / "scene.txt", "--styles", book / "styles.csv", "--characters", book / "people.csv"]


def test_without_the_options_nothing_changes(typed, book):
    """Braces are text, and a style is appended as always."""
    assert typed().code == 0
    assert sent(book / "out") == {
        "one": ("the river bank, ink", None),
        "two": ("the open road", None),
        "three": ("the {{ wood }} ${x}, soft", None),
    }


def test_template_style_and_characters_together(typed, book):
    """A1111's {prompt} surrounds, another preset is appended; the manifest has both texts."""
    result = typed(*all_files(book))
    assert result.code == 0, result.err
    assert sent(book / "out") == {
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


def test_characters_without_a_template_follow_the_prompt(typed, book):
    """Each is a sentence."""
    assert typed("--characters", book / "people.csv").code == 0
    assert sent(book / "out")["one"][0] == (
        "the river bank. Mole: a small mole in a black waistcoat. Rat: a brown water rat., ink"
    ) or sent(book / "out")["one"][0].endswith("Rat: a brown water rat. ink")


def test_a_template_may_place_style_and_single_characters(typed, book):
    """What the template places is not appended again."""
    (book / "scene.txt").write_text("{{ style }}: {{ char.Mole }}, {{ char['water rat'] }} ({{ id }})")
    (book / "people.csv").write_text('name;description\n"Mole";"a mole"\nWater Rat;a rat\n')
    write_csv(book / "plain.csv", [{"id": "a", "prompt": "x", "style": "ink"}])
    result = typed(*all_files(book), source="plain.csv")
    assert result.code == 0, result.err
    assert sent(book / "out")["a"] == ("loose ink lines: a mole, a rat (a)", "x")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("characters", "Mole; Toaad", "did you mean Toad?"), ("style", "inq", "did you mean ink?")],
)
def test_an_unknown_name_is_invalid_input(typed, book, sim, column, value, message):
    """Exit code 5 with the line and the nearest name; nothing is sent."""
    write_csv(book / "book.csv", [ROWS[1], {**ROWS[0], column: value}])
    result = typed(*all_files(book))
    assert result.code == 5
    assert message in result.err
    assert "line 3" in result.err
    assert not sim.requests


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ chaptr }}", "did you mean chapter?"),
        ("{% if %}", "line 1"),
        ("{% include 'x' %}", "'include'"),
    ],
)
def test_a_template_that_can_not_work_is_refused(typed, book, sim, source, message):
    """It is a wrong setting: exit code 2."""
    (book / "scene.txt").write_text(source)
    result = typed(*all_files(book))
    assert result.code == 2, result.err
    assert message in result.err
    assert not sim.requests


def test_a_row_that_the_template_makes_empty_is_named(typed, book, sim):
    """With its line."""
    (book / "scene.txt").write_text("{% if chapter == '2' %}{{ prompt }}{% endif %}")
    result = typed(*all_files(book))
    assert result.code == 5
    assert "line 2" in result.err
    assert "empty prompt" in result.err


def test_resume_does_not_need_the_files(shell, typed, book, sim):
    """The run has stored their content, and nothing is sent again."""
    assert typed(*all_files(book), "--limit", 1).code == 3
    for name in ("scene.txt", "styles.csv", "people.csv", "book.csv"):
        (book / name).unlink()
    assert shell.type("resume", book / "out", "--limit", 9).code == 0
    assert len(sim.requests) == 3
    before = sent(book / "out")
    shutil.move(book / "out", book / "moved")
    assert shell.type("resume", book / "moved").code == 0
    assert len(sim.requests) == 3
    assert sent(book / "moved") == before
    assert shell.type("audit", book / "moved").code == 0


def test_a_folder_from_a_stranger_makes_no_prompt_of_other_files(shell, typed, book, sim):
    """Its settings name only what the run has stored."""
    (book / "secret.txt").write_text("a secret")
    assert typed(*all_files(book), "--limit", 1).code == 3
    path = book / "out" / ".imagen-batch" / "settings.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "matrix": [f"a=@{book / 'secret.txt'}"]}))
    assert shell.type("resume", book / "out").code == 2
    for name in (str(book / "secret.txt"), ".imagen-batch/expansion/../../../secret.txt"):
        path.write_text(json.dumps({**stored, "template": name}))
        shell.type("resume", book / "out", "--limit", 9)
        assert "a secret" not in str(sent(book / "out"))


def test_a_changed_template_makes_exactly_the_changed_rows_again(typed, book, sim):
    """The other rows keep their images."""
    assert typed(*all_files(book)).code == 0
    text = (book / "scene.txt").read_text()
    (book / "scene.txt").write_text(text + "{% if chapter == '2' %} At night.{% endif %}")
    assert typed(*all_files(book)).code == 0
    assert len(sim.requests) == 4
    assert sent(book / "out")["two"][0].endswith("Chapter 2.\n At night.")
    stored = sorted(path.name.partition("-")[0] for path in (book / "out" / ".imagen-batch" / "expansion").iterdir())
    assert stored == ["characters", "styles", "template"]


def test_a_failures_file_of_a_templated_run_patches_its_rows(shell, typed, book, sim):
    """The cells are the user's own; the stored template applies to them, and paid rows stay."""
    assert typed(*all_files(book), "--limit", 1).code == 3
    path = book / "out" / "failures.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["prompt"] for row in rows] == ["the open road", "the {{ wood }} ${x}"]
    rows[0]["prompt"] = "the closed road"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    result = shell.type("run", path, "--base-url", sim.url, "--provider", "simulator")
    assert result.code == 0, result.err
    assert len(sim.requests) == 3
    assert sent(book / "out")["two"] == (
        "the closed road. Toad: a stout toad in tweed! Chapter 2.",
        "the closed road",
    )


def test_added_rows_use_the_template_of_the_run(typed, book, sim):
    """Rows that the run has are not paid for again."""
    assert typed(*all_files(book)).code == 0
    write_csv(book / "more.csv", [*ROWS, {**ROWS[0], "id": "four", "prompt": "the wide world", "style": ""}])
    result = typed("--add", source="more.csv")
    assert result.code == 0, result.err
    assert len(sim.requests) == 4
    assert sent(book / "out")["four"][0].startswith("the wide world. Mole: a small mole")
    (book / "scene.txt").write_text("other {{ prompt }}")
    result = typed("--add", "--template", book / "scene.txt", source="more.csv")
    assert result.code == 2
    assert "--template differs" in result.err


def test_references_of_characters_join_those_of_the_row(book):
    """Each once, with paths that hold wherever the run is; the cells stay the user's own."""
    write_csv(book / "refs.csv", [{"prompt": "x", "characters": "Mole", "references": "b.png; @mole"}])
    expansion = load_expansion(template=None, styles=None, characters=str(book / "people.csv"))
    (row,) = expansion.apply_to(open_prompts(book / "refs.csv")).rows()
    assert row.references == ("b.png", "@mole", str(book / "sheets" / "mole.png"), str(book / "a.png"))
    assert row.cells["references"] == "b.png; @mole"


def test_toml_tables_are_read(typed, book):
    """A text alone is a preset or a description."""
    (book / "styles.toml").write_text('ink = "ink"\n[soft]\nprompt = "soft {prompt}"\nnegative_prompt = "photo"\n')
    (book / "people.toml").write_text(
        'Mole = "a mole"\nRat = "a rat"\n[Toad]\ndescription = "a toad"\nreferences = []\n'
    )
    result = typed("--styles", book / "styles.toml", "--characters", book / "people.toml")
    assert result.code == 0, result.err
    assert sent(book / "out")["three"][0] == "soft the {{ wood }} ${x}"


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
def test_a_damaged_table_is_refused_in_a_sentence(typed, book, sim, name, content):
    """Nothing is sent."""
    if content is not None:
        (book / name).write_bytes(content)
    result = typed("--characters", book / name)
    assert result.code == 2
    assert "--characters" in result.err
    assert "Traceback" not in result.err
    assert not sim.requests


def test_the_plan_shows_the_first_prompt_as_it_is_sent(shell, book):
    """The user sees what a template makes before paying for it."""
    result = shell.type("plan", book / "book.csv", *all_files(book), "--provider", "simulator")
    assert result.code == 0
    assert "the river bank. Mole: a small mole" in result.out
    facts = json.loads(shell.type("plan", book / "book.csv", *all_files(book), "--json").out)
    assert facts["first_prompt"].startswith("the river bank. Mole")
