"""Tests that a run from a spreadsheet continues, and that its failures may be saved as CSV or as a spreadsheet."""

from __future__ import annotations

import csv
import json

import pytest

from tests.support.shell import manifest
from tests.support.spreadsheets import text_ods, write_xlsx

TABLE = [["id", "prompt", "note"], ["007", "a fox", "=x"], [], ["008", "a hen\nin a box", ""], ["009", "a cat", "z"]]


@pytest.mark.parametrize("name", ["book.xlsx", "book.ods"])
def test_a_run_continues_from_its_stored_copy(shell, run_into_out, tmp_path, sim, name):
    """It has the same rows on the same lines, even if the spreadsheet is deleted."""
    write = write_xlsx if name.endswith("xlsx") else text_ods
    table = [[cell.replace("=x", "y") for cell in row] for row in TABLE]
    book = write(tmp_path / name, table)
    assert run_into_out(book, "--limit", 1, "--sheet", "Scenes").code == 3
    before = [(row["line"], row["id"], row["prompt"], row["note"]) for row in manifest(tmp_path / "out")]
    assert before == [(2, "007", "a fox", "y"), (4, "008", "a hen\nin a box", None), (5, "009", "a cat", "z")]
    assert run_into_out(book).code == 0
    book.unlink()
    assert shell.run("resume", tmp_path / "out").code == 0
    assert len(sim.requests) == 3
    assert [(row["line"], row["id"], row["prompt"], row["note"]) for row in manifest(tmp_path / "out")] == before
    assert json.loads((tmp_path / "out" / ".imagen-batch" / "settings.json").read_text())["format"] == "jsonl"
    assert shell.run("audit", tmp_path / "out").code == 0


@pytest.mark.parametrize("saved", ["csv", "xlsx", "ods"])
def test_edited_failures_find_their_rows(shell, run_into_out, tmp_path, sim, saved):
    """A failures.csv stays CSV, and may be saved as a spreadsheet."""
    book = text_ods(tmp_path / "book.ods", TABLE)
    assert run_into_out(book, "--limit", 2).code == 3
    with (tmp_path / "out" / "failures.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    assert lines[1][:3] == ["009", "a cat", "z"]
    lines[1][1] = "a lion"
    edited = tmp_path / f"edited.{saved}"
    if saved == "csv":
        with edited.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
    else:
        (write_xlsx if saved == "xlsx" else text_ods)(edited, lines)
    result = run_into_out(edited)
    assert result.code == 0, result.err
    assert len(sim.requests) == 3
    assert [row["prompt"] for row in manifest(tmp_path / "out")] == ["a fox", "a hen\nin a box", "a lion"]
    assert shell.run("audit", tmp_path / "out").code == 0
