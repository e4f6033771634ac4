"""Tests that splits depend on a hash of the row's prompt or on a column, and not on other rows."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.export import export
from imagen_batch.exports.options import Options
from imagen_batch.exports.rows.splits import make_assign
from imagen_batch.simulator import Simulator
from tests.exports.runs import book, set_columns, tree
from tests.support.runs import run, write_csv

NAMES = ["row", "prompt", "book", "split"]


def _row(number: int, **more: Any) -> dict[str, Any]:
    return {"row": number, "prompt": f"a fox in scene {number}", "book": "a", "split": None, **more}


def test_rows_keep_their_split_when_rows_are_added_and_moved() -> None:
    """The row's number does not matter."""
    assign = make_assign(Options(split="train=0.8,test=0.2"), NAMES)
    before = {row["prompt"]: assign(row) for row in map(_row, range(500))}
    moved = [_row(number, prompt=f"a fox in scene {1000 - number}") for number in range(1000)]
    after = {row["prompt"]: assign(row) for row in moved}
    assert all(after[prompt] == split for prompt, split in before.items() if prompt in after)


def test_shares_are_met_and_growing_the_first_share_moves_rows_only_into_it() -> None:
    """The tolerance is that of a sample of 10,000."""
    rows = [_row(number) for number in range(10_000)]
    small = [make_assign(Options(split="train=0.8,val=0.1,test=0.1"), NAMES)(row) for row in rows]
    large = [make_assign(Options(split="train=0.85,val=0.05,test=0.1"), NAMES)(row) for row in rows]
    counts = Counter(small)
    assert abs(counts["train"] - 8000) < 150
    assert abs(counts["test"] - 1000) < 120
    assert all(new == "train" for old, new in zip(small, large, strict=True) if old == "train")


def test_samples_of_one_prompt_share_a_split_and_so_does_any_column() -> None:
    """Otherwise variants of one prompt would be in train and test."""
    by_book = make_assign(Options(split="train=0.5,test=0.5", split_by="book"), NAMES)
    assert len({by_book(_row(number)) for number in range(50)}) == 1


def test_a_split_column_is_honored_without_an_option() -> None:
    """Empty cells belong to train."""
    assign = make_assign(Options(), NAMES)
    assert [assign(_row(1, split="test")), assign(_row(2))] == ["test", "train"]
    assert make_assign(Options(), ["row", "prompt"])(_row(1)) == "train"
    assert make_assign(Options(), ["row", "prompt", "Split"])(_row(1, Split="test")) == "test"
    assert make_assign(Options(), ["row", "Split", "split"])(_row(1, Split="x", split="test")) == "test"


@pytest.mark.parametrize(
    "text", ["train=0.9", "train=0.9,test=0.2", "a=1,a=0", "train", "../x=1", "train=nan,b=1", "a=0.5,A=0.5"]
)
def test_invalid_shares_are_refused(text: str) -> None:
    """The message contains the text."""
    with pytest.raises(SettingsInvalid, match=r"--split"):
        make_assign(Options(split=text), NAMES)


def test_a_cell_that_is_not_a_split_name_is_refused_with_its_row() -> None:
    """It would become the name of a folder."""
    assign = make_assign(Options(split_column="book"), NAMES)
    with pytest.raises(SettingsInvalid, match="row 7, column book"):
        assign(_row(7, book="../../etc"))


def test_an_unknown_column_is_refused_with_those_that_are_like_it() -> None:
    """This holds for both options."""
    for options in (Options(split_column="boo"), Options(split="a=1", split_by="boo")):
        with pytest.raises(
            SettingsInvalid,
            match=r"column 'boo'; did you mean book\? The first line of manifest.csv has all 4 columns",
        ):
            make_assign(options, NAMES)


@pytest.mark.parametrize("name", ["all", "All", "a-b", "a b", "x/y", "..", "val.1", "é" * 3, "x" * 61])
def test_the_message_about_an_invalid_split_says_what_to_do(name: str) -> None:
    """`all` is the loaders' word for every split together."""
    assign = make_assign(Options(), NAMES)
    with pytest.raises(
        SettingsInvalid, match=r"row 3 \(fox-3\), column split: .* is no split's name.*--split train=0.9"
    ):
        assign(_row(3, split=name, id="fox-3"))


def test_two_splits_that_differ_only_in_case_are_refused() -> None:
    """On some disks they are one folder, and in most files one of them is a slip."""
    assign = make_assign(Options(), NAMES)
    assert assign(_row(1, split="Train")) == "Train"
    with pytest.raises(SettingsInvalid, match="'train' and 'Train' of an earlier row differ only in case"):
        assign(_row(2, split="train"))


@pytest.mark.parametrize("to", ["csv", "folder"])
def test_a_column_called_split_may_mean_something_else_where_nothing_is_divided(to: str, tmp_path: Path) -> None:
    """A table and a delivery have no splits unless an option says so."""
    run = book(tmp_path / "book", rows=4)
    set_columns(run, {"split": ["left page", "right page", "", "a/b"]})
    assert export(run, to=to, out=tmp_path / "out").splits == {"train": 4}
    with pytest.raises(SettingsInvalid, match="'left page' is no split's name"):
        export(run, to=to, out=tmp_path / "out", split_column="split")
    with pytest.raises(SettingsInvalid, match="'left page' is no split's name"):
        export(run, to="imagefolder", out=tmp_path / "out")


def test_a_table_has_the_chosen_splits_also_beside_a_column_of_that_name(tmp_path: Path) -> None:
    """Without an option the column is the user's."""
    run = book(tmp_path / "book", rows=4)
    set_columns(run, {"split": ["x", "y", "", "z"]})
    for options, expected in (({}, ["x", "y", "", "z"]), ({"split": "all_of_it=1"}, ["all_of_it"] * 4)):
        export(run, to="csv", out=tmp_path / "out", **options)
        with (tmp_path / "out" / "images.csv").open(newline="") as file:
            assert [row["split"] for row in csv.DictReader(file)] == expected


@pytest.mark.parametrize(
    ("to", "files"),
    [
        ("imagefolder", {"train/metadata.parquet", "2/metadata.parquet"}),
        ("parquet", {"data/train-00000-of-00001.parquet", "data/2-00000-of-00001.parquet"}),
        ("webdataset", {"data/train-000000.tar", "data/2-000000.tar"}),
    ],
)
def test_a_split_column_of_the_prompt_file_divides_the_export(to: str, files: set[str], tmp_path: Path) -> None:
    """It is in the manifest as text, and the option for it is not needed."""
    with Simulator() as sim:
        rows = [
            {"prompt": "a mole", "split": "2"},
            {"prompt": "a rat", "split": ""},
            {"prompt": "a toad", "split": "2"},
        ]
        done = run(write_csv(tmp_path / "book.csv", rows), sim)
    assert [row["split"] for row in done.rows] == ["2", None, "2"]
    exported = export(done.folder, to=to, out=tmp_path / "export")
    assert exported.splits == {"2": 2, "train": 1}
    assert files <= set(tree(tmp_path / "export"))
