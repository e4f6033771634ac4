"""Characters whose sheets are files or rows of the run, with variants, resume, failures.csv and added rows."""

from __future__ import annotations

import csv

import pytest
from PIL import Image

from imagen_batch.audit.audit import audit
from tests.support.reference_files import parts_sent
from tests.support.runs import write_csv
from tests.support.shell import manifest

SHEET = {"id": "mole", "prompt": "a sheet", "characters": "Mole", "references": ""}
BANK = {"id": "bank", "prompt": "the bank", "characters": "Mole", "references": ""}
ROAD = {"id": "road", "prompt": "the road", "characters": "", "references": "@mole"}


@pytest.fixture
def book(tmp_path):
    """A book whose character is drawn by a row, and has a file as well."""
    Image.new("RGB", (8, 8), "gray").save(tmp_path / "hat.png")
    (tmp_path / "people.csv").write_text("name,description,references\nMole,a small mole,@mole; hat.png\n")
    write_csv(tmp_path / "book.csv", [BANK, ROAD, SHEET])
    return tmp_path


@pytest.fixture
def typed(shell, book, sim):
    """Runs a file of the book with the characters and more options."""

    def run(*more, source="book.csv"):
        known = ["--provider", "simulator", "--base-url", sim.url, "--out", book / "out"]
        return shell.run("run", book / source, *known, "--characters", book / "people.csv", *more)

    return run


def by_id(folder):
    """The manifest's rows by id."""
    return {row["id"]: row for row in manifest(folder)}


def image(folder, row):
    """The bytes of a row's image."""
    return (folder / row["file"]).read_bytes()


def test_scenes_are_sent_with_the_sheet_that_a_row_draws(typed, book, sim):
    """The sheet itself is sent with the file alone: a row does not wait for its own image."""
    assert typed().code == 0
    rows, hat = by_id(book / "out"), (book / "hat.png").read_bytes()
    sheet = image(book / "out", rows["mole"])
    sent = {parts[-1]: parts[:-1] for parts in parts_sent(sim)}
    assert sent == {
        "a sheet. Mole: a small mole.": [hat],
        "the bank. Mole: a small mole.": [sheet, hat],
        "the road": [sheet],
    }
    assert rows["bank"]["references"].split(";")[0] == "@mole"
    assert audit(book / "out").clean


@pytest.mark.parametrize("again", [["run"], ["run", "--replace"], ["resume"]])
def test_nothing_is_sent_again_for_the_same_book(shell, typed, book, sim, again):
    """However the run is repeated."""
    assert typed().code == 0
    result = typed(*again[1:]) if again[0] == "run" else shell.run("resume", book / "out")
    assert result.code == 0, result.err
    assert len(parts_sent(sim)) == 3


def test_variants_use_the_sheet_of_the_same_variant(shell, typed, book, sim):
    """`@mole` in the row bank-ink is the row mole-ink, in cells and from characters; resume agrees."""
    result = typed("--matrix", "style=ink,oil")
    assert result.code == 0, result.err
    rows = by_id(book / "out")
    for style in ("ink", "oil"):
        sheet = rows[f"mole-{style}"]["sha256"]
        assert rows[f"road-{style}"]["references_sha256"] == sheet
        assert rows[f"bank-{style}"]["references_sha256"].split(";")[0] == sheet
    assert shell.run("resume", book / "out").code == 0
    assert len(parts_sent(sim)) == 6
    assert audit(book / "out").clean


def test_a_failures_file_of_variants_finds_their_sheets(shell, typed, book, sim):
    """Its lines are variants, and the paid rows stay paid."""
    assert typed("--matrix", "style=ink,oil", "--max-images", 3).code == 6
    path = book / "out" / "failures.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(row["prompt"] in {"the bank", "the road", "a sheet"} for row in rows)
    rows = [{**row, "prompt": row["prompt"].replace("road", "street")} for row in rows]
    write_csv(path, rows)
    result = shell.run("run", path, "--provider", "simulator", "--base-url", sim.url, "--max-images", 9)
    assert result.code == 0, result.err
    assert len(parts_sent(sim)) == 6
    made = by_id(book / "out")
    assert {row["status"] for row in made.values()} == {"ok"}
    for style in ("ink", "oil"):
        assert made[f"road-{style}"]["references_sha256"] == made[f"mole-{style}"]["sha256"]


@pytest.mark.parametrize("text", ["the road", "the street"])
def test_a_failures_file_may_refer_to_rows_that_it_does_not_have(shell, typed, book, sim, text):
    """The sheet was made, so only the scenes are in the file; they are sent with it, edited or not."""
    assert typed("--max-images", 1).code == 6
    path = book / "out" / "failures.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["bank", "road"]
    write_csv(path, [rows[0], {**rows[1], "prompt": text}])
    result = shell.run("run", path, "--provider", "simulator", "--base-url", sim.url, "--max-images", 9)
    assert result.code == 0, result.err
    sent = parts_sent(sim)
    assert len(sent) == 3
    assert [image(book / "out", by_id(book / "out")["mole"]), text] in sent
    assert audit(book / "out").clean


def test_without_a_matrix_a_misspelled_id_is_refused(typed, book, sim):
    """Nothing is guessed from endings."""
    write_csv(book / "book.csv", [{**ROAD, "id": "road-1", "references": "@fox"}, {**SHEET, "id": "fox-1"}])
    result = typed()
    assert result.code == 5
    assert "no row has the id 'fox'" in result.err
    assert not parts_sent(sim)


@pytest.mark.parametrize("matrix", [[], ["--matrix", "style=ink,oil"]])
def test_added_rows_may_use_the_images_of_the_run(typed, book, sim, matrix):
    """From characters and from cells; rows that the run has are not added again."""
    (book / "more").mkdir()
    assert typed(*matrix).code == 0
    before = len(parts_sent(sim))
    new = {**BANK, "id": "home", "prompt": "at home"}
    if matrix:
        new["references"] = "@mole-ink"
        new["characters"] = ""
    write_csv(book / "more" / "more.csv", [new] if matrix else [BANK, ROAD, SHEET, new])
    result = typed("--add", source="more/more.csv")
    assert result.code == 0, result.err
    sent = parts_sent(sim)[before:]
    assert len(sent) == 1
    rows = by_id(book / "out")
    assert sent[0][0] == image(book / "out", rows["mole-ink" if matrix else "mole"])
    assert typed("--add", source="more/more.csv").code == 0
    assert len(parts_sent(sim)) == before + 1
    assert audit(book / "out").clean


def test_rows_of_a_changed_sheet_are_not_added_as_new_ones(typed, book, sim):
    """They are rows of the run, which makes them again once."""
    write_csv(book / "book.csv", [{**ROAD, "references": "hat.png"}])
    assert typed().code == 0
    Image.new("RGB", (8, 8), "blue").save(book / "hat.png")
    assert typed("--add").code == 0
    assert len(manifest(book / "out")) == 1
    assert len(parts_sent(sim)) == 2


def test_a_character_s_reference_without_an_id_is_refused(typed, book, sim):
    """In a sentence, before anything is sent."""
    (book / "people.csv").write_text("name,description,references\nMole,a mole,@\n")
    result = typed()
    assert result.code == 2
    assert "Mole" in result.err
    assert "names no row" in result.err


def test_another_sheet_file_of_a_character_makes_exactly_its_rows_again(typed, book, sim):
    """The road has no characters."""
    write_csv(book / "book.csv", [BANK | {"id": "a"}, ROAD | {"references": ""}])
    (book / "people.csv").write_text("name,description,references\nMole,a small mole,hat.png\n")
    assert typed().code == 0
    Image.new("RGB", (8, 8), "blue").save(book / "hat.png")
    assert typed().code == 0
    assert len(parts_sent(sim)) == 3
    assert parts_sent(sim)[-1][-1].startswith("the bank")
