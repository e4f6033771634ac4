"""Tests `run` and `plan` with pandas tables, `open_images`, and the examples in the docstrings of the public API."""

from __future__ import annotations

import asyncio
import datetime as dt
import doctest
import os
import uuid
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imagen_batch import InputInvalid, SettingsInvalid, api, open_images, plan, read_manifest, run
from imagen_batch.inputs.table_to_csv import table_to_csv
from imagen_batch.simulator import Simulator
from imagen_batch.storage import open_storage
from tests.exports.runs import book, rows_of
from tests.support.runs import write_csv
from tests.support.shell import Shell

HOSTILE = ['a mole, "quoted"', "two\nlines", "two\rlines", "=SUM(A1)", "007", "None", "水墨 🦊", "a;b\tc"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMAGEN_BATCH_")]:
        monkeypatch.delenv(name)


def _keys(folder: str) -> list[str]:
    return list(read_manifest(folder)["key"])


def test_the_examples_of_the_docstrings_run(tmp_path: Path) -> None:
    """Each public function has one."""
    write_csv(tmp_path / "book.csv", [{"prompt": "a mole", "chapter": "1"}, {"prompt": "a rat", "chapter": ""}])
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner()
    for name in ("run", "plan", "read_manifest", "open_images"):
        (example,) = finder.find(getattr(api, name), name, globs=dict(vars(api)))
        assert example.examples, name
        runner.run(example)
    assert runner.summarize(verbose=False).failed == 0


def test_a_table_has_the_keys_of_the_csv_with_its_content() -> None:
    """The index does not matter, and a seed with a missing value is still a whole number."""
    table = pd.DataFrame({"prompt": ["a mole", "a rat", "a toad"], "seed": [7, None, 9], "note": ["x", None, ""]})
    table.index = pd.Index(["z", "y", "x"])
    write_csv(
        Path("book.csv"),
        [{"prompt": text, "seed": seed, "note": ""} for text, seed in (("a mole", 7), ("a rat", ""), ("a toad", 9))],
    )
    with Simulator() as sim:
        run("book.csv", provider="simulator", base_url=sim.url, out="a")
        run(table, provider="simulator", base_url=sim.url, out="b")
        assert _keys("a") == _keys("b")
        run(table, provider="simulator", base_url=sim.url, out="a")
        assert sim.bill.total == 6
    assert list(read_manifest("b")["seed"].fillna(0)) == [7, 0, 9]


def test_a_table_continues_and_its_edits_make_only_what_changed() -> None:
    """Its default folder is named after no file."""
    table = pd.DataFrame({"prompt": ["a mole", "a rat", "a toad"]})
    with Simulator() as sim:
        summary = run(table, provider="simulator", base_url=sim.url)
        assert Path(summary.facts.out) == Path("outputs/table-rehearsal")
        table.loc[1, "prompt"] = "a badger"
        run(table, provider="simulator", base_url=sim.url)
        assert sim.bill.total == 4
    assert list(read_manifest("outputs/table-rehearsal")["prompt"]) == ["a mole", "a badger", "a toad"]


def test_hostile_text_of_a_table_is_sent_as_it_is() -> None:
    """Delimiters, line ends and formulas are text."""
    facts = plan(pd.DataFrame({"prompt": HOSTILE, "a;b": HOSTILE}), provider="simulator")
    assert (facts["rows"], facts["columns"]["own"]) == (len(HOSTILE), ["a;b"])
    with Simulator() as sim:
        run(pd.DataFrame({"prompt": HOSTILE, "note": HOSTILE}), provider="simulator", base_url=sim.url, out="o")
    assert list(read_manifest("o")["prompt"]) == list(read_manifest("o")["note"]) == HOSTILE


@pytest.mark.parametrize(
    ("values", "cells"),
    [
        ([7.0, np.nan], ["7", ""]),
        ([7.5, 2.0], ["7.5", "2.0"]),
        (pd.array([7, None], "Int64"), ["7", ""]),
        (pd.array([True, None], "boolean"), ["true", ""]),
        (np.array([1.0, 2.0], "float32"), ["1", "2"]),
        ([True, False], ["true", "false"]),
        ([None, pd.NA], ["", ""]),
        ([pd.NaT, pd.Timestamp("2026-11-27")], ["", "2026-11-27"]),
        ([dt.date(2026, 11, 27), pd.Timestamp("2026-11-27T06:00Z")], ["2026-11-27", "2026-11-27T06:00:00+00:00"]),
        ([Decimal("1.50"), Path("a/b.png")], ["1.50", "a/b.png"]),
        (pd.Categorical(["x", "y"]), ["x", "y"]),
        (["", " "], ["", " "]),
    ],
)  # fmt: skip
def test_values_become_the_cells_that_a_person_would_write(values: Any, cells: list[str]) -> None:
    """A missing value is an empty cell."""
    written = pd.read_csv(BytesIO(table_to_csv(pd.DataFrame({"prompt": "p", "x": values}))), dtype=str)
    assert list(written["x"].fillna("")) == cells


def test_values_that_are_no_cell_are_named_once_for_each_column() -> None:
    """All columns at once, before anything is sent."""
    hours = pd.to_timedelta([1, 2, 3], unit="h")
    table = pd.DataFrame({"prompt": ["a", "b", "c"], "tags": ["x", ["x"], {"y": 1}], "length": hours})
    with pytest.raises(InputInvalid) as caught:
        plan(table, provider="simulator")
    tags, length, count = str(caught.value).splitlines()
    assert "tags: expected text, numbers, true or false, or dates in row 2 and 1 other row" in tags
    assert "a list" in tags
    assert "length: expected text, numbers, true or false, or dates in row 1 and 2 other rows" in length
    assert "table['length'].astype(str)" in length
    assert count.startswith("2 problems")
    plan(table.astype({"tags": str, "length": str}), provider="simulator")
    for array in (np.array([1]), np.array([1, 2])):
        with pytest.raises(InputInvalid, match=r"tags: .* in row 1; .*a ndarray"):
            plan(pd.DataFrame({"prompt": ["a"], "tags": [array]}), provider="simulator")


@pytest.mark.parametrize(
    ("prompts", "settings", "message"),
    [
        (7, {}, "expected a path or a pandas DataFrame, not a int"),
        ([{"prompt": "x"}], {}, "not a list"),
        (pd.DataFrame({"prompt": ["x"]}), {"delimiter": ";"}, "delimiter: is for files"),
    ],
)
def test_other_values_are_refused_with_a_sentence(prompts: Any, settings: dict[str, Any], message: str) -> None:
    """Nothing is sent or written."""
    with pytest.raises(SettingsInvalid, match=message):
        run(prompts, provider="simulator", **settings)
    assert list(Path().iterdir()) == []


def test_a_table_without_rows_or_prompts_is_refused() -> None:
    """The messages are those of a file."""
    for table in (pd.DataFrame(), pd.DataFrame({"prompt": []}), pd.DataFrame({"text": [None]})):
        with pytest.raises(InputInvalid):
            plan(table, provider="simulator")


def test_images_come_with_their_rows(tmp_path: Path) -> None:
    """Rows without an image are left out; `where` chooses among the others."""
    folder = book(tmp_path / "book")
    opened = list(open_images(folder))
    assert [row["row"] for row, _ in opened] == [row["row"] for row in rows_of(folder)]
    assert all(isinstance(image, Image.Image) and image.size == (64, 48) for _, image in opened)
    assert [row["row"] for row, _ in open_images(folder, where="row < 3")] == [1, 2]


def test_images_of_a_bucket_are_read_ahead(tmp_path: Path) -> None:
    """A damaged one is refused all the same."""
    folder = book(tmp_path / "book")
    url = f"memory://pictures/{uuid.uuid4().hex}"
    storage = open_storage(url)
    for path in folder.rglob("*"):
        if path.is_file():
            storage.put(path.relative_to(folder).as_posix(), path.read_bytes())
    assert [row["row"] for row, _ in open_images(url)] == [row["row"] for row in rows_of(folder)]
    storage.put(rows_of(folder)[3]["file"], b"not it")
    with pytest.raises(SettingsInvalid, match=r"row 4: .* is not the file that was received"):
        list(open_images(url))


def test_a_run_of_a_table_is_resumed_by_the_command(shell: Shell) -> None:
    """The folder has its input."""
    out = shell.here / "o"
    with Simulator() as sim:
        table = pd.DataFrame({"prompt": ["a mole", "a rat"]})
        run(table, provider="simulator", base_url=sim.url, out=out, limit=1)
        assert shell.run("resume", out, "--limit", "2", "--json").json["samples"]["ok"] == 2
        assert sim.bill.total == 2


def test_a_wrong_place_or_expression_is_refused_at_once(tmp_path: Path) -> None:
    """Not only when the first image is read."""
    with pytest.raises(SettingsInvalid, match="name the output folder of a finished run"):
        open_images(tmp_path)
    with pytest.raises(SettingsInvalid, match="no column 'chaptr'"):
        open_images(book(tmp_path / "book"), where="chaptr == 1")


def test_an_image_that_changed_is_refused_with_its_row(tmp_path: Path) -> None:
    """The images before it were yielded."""
    folder = book(tmp_path / "book")
    (folder / rows_of(folder)[1]["file"]).write_bytes(b"not it")
    images = open_images(folder)
    next(images)
    with pytest.raises(SettingsInvalid, match=r"row 2: .* is not the file that was received"):
        next(images)


def test_a_run_works_inside_the_event_loop_of_a_notebook() -> None:
    """A cell of a notebook runs while the loop of its kernel does."""

    async def cell() -> int:
        with Simulator() as sim:
            return run(pd.DataFrame({"prompt": ["a mole"]}), provider="simulator", base_url=sim.url).counts["ok"]

    assert asyncio.run(cell()) == 1
