"""Columns of the prompt file keep their cells beside columns that an export adds."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from imagen_batch.exports.export import export
from imagen_batch.exports.rows.manifest import rename_clashing
from imagen_batch.simulator import Simulator
from tests.support.runs import run, write_csv


@pytest.fixture
def made(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Return a function that runs a file with these cells and returns the folder of the run."""

    def make(**cells: str) -> Path:
        rows = [{"prompt": text} | cells for text in ("a mole", "a rat [[sim:finish_IMAGE_SAFETY]]")]
        with Simulator() as sim:
            return Path(run(write_csv(tmp_path / "p.csv", rows), sim).folder)

    return make


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _splits(row: dict[str, str]) -> dict[str, str]:
    return {name: cell for name, cell in row.items() if "split" in name.lower()}


@pytest.mark.parametrize("name", ["split", "Split"])
def test_a_table_has_the_users_split_and_no_other(made, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    """A second column that says "train" for all would contradict it."""
    export(made(**{name: "x/007"}), to="csv", out=tmp_path / "e")
    [row] = _rows(tmp_path / "e" / "images.csv")
    assert _splits(row) == {name: "x/007"}


@pytest.mark.parametrize("name", ["split", "Split"])
def test_a_chosen_split_stands_beside_the_users_own(made, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    """The cells of the prompt file are not lost."""
    export(made(**{name: "x/007"}), to="csv", out=tmp_path / "e", split="validation=1")
    [row] = _rows(tmp_path / "e" / "images.csv")
    assert _splits(row) == {f"input_{name}": "x/007", "split": "validation"}


def test_a_table_without_such_a_column_has_one(made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """As before."""
    export(made(mood="calm"), to="csv", out=tmp_path / "e")
    [row] = _rows(tmp_path / "e" / "images.csv")
    assert (_splits(row), row["mood"]) == ({"split": "train"}, "calm")


def test_the_rows_that_were_left_out_keep_their_own_column_of_that_name(made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The reason has the name `left_out`."""
    export(made(left_out="mine"), to="csv", out=tmp_path / "e")
    [row] = _rows(tmp_path / "e" / "left_out.csv")
    assert (row["left_out"], row["input_left_out"]) == ("filtered", "mine")


def test_tasks_of_label_studio_keep_columns_that_have_the_names_of_theirs(made, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """`image` is the path of the image, and `split` the chosen one."""
    export(made(image="mine", split="x"), to="labelstudio", out=tmp_path / "e", split="validation=1")
    [task] = json.loads((tmp_path / "e" / "tasks.json").read_text())
    assert (task["data"]["input_image"], task["data"]["input_split"]) == ("mine", "x")
    assert task["data"]["split"] == "validation"
    assert task["data"]["image"].startswith("/data/")


def test_a_new_name_is_that_of_no_other_column() -> None:
    """Names are compared without case, as databases and spreadsheets compare them."""
    names = ["Split", "input_split", "prompt"]
    assert rename_clashing(names, ["split"]) == {
        "Split": "input_input_Split",
        "input_split": "input_split",
        "prompt": "prompt",
    }
