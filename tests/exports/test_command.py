"""`imagen-batch export`: arguments, what is printed, and where."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from imagen_batch.cli.commands import export as command
from imagen_batch.errors import SettingsInvalid
from imagen_batch.exports.formats import FORMATS
from tests.exports.runs import book, tree


def _run(*argv: Any) -> int:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(each) for each in argv]))


def test_the_result_is_a_few_lines_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing stands on standard error without a terminal."""
    run = book(tmp_path / "book")
    assert _run(run, "--to", "imagefolder", "--out", tmp_path / "o", "--split", "train=0.5,test=0.5", "--report") == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == f"10 images exported to {tmp_path / 'o'}"
    assert "  left out: 2 filtered (left_out.parquet has each row)" in said.out
    assert "10 small" in said.out
    assert said.err == ""


def test_with_json_there_is_exactly_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With counts for scripts."""
    run = book(tmp_path / "book")
    _run(run, "--to", "csv", "--json", "--where", "page < 4", "--drop", "small,flat", "--min-side", "40")
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 3
    assert found["out"] == str(run / "export" / "csv")
    assert found["schema_version"] == 1


def test_every_format_is_offered_and_every_option_reaches_the_export(tmp_path: Path) -> None:
    """The names stand twice, so that help needs no import."""
    parser = ArgumentParser()
    command.add_arguments(parser)
    typed = vars(parser.parse_args(["DIR", "--to", "csv"]))
    assert set(typed) == {"folder", "to", "out", "as_json", "quiet"}
    assert set(command.FORMATS) == set(FORMATS)
    run = book(tmp_path / "book")
    every = [
        "--copy",
        "--shard-size",
        "2GB",
        "--trigger",
        "x",
        "--excel-safe",
        "--name-template",
        "{id}",
        "--near",
        "3",
    ]
    more = ["--embed-metadata", "--group-by", "page", "--per-page", "4", "--title", "t", "--license", "mit"]
    assert _run(run, "--to", "csv", "--split-by", "page", "--quiet", *every, *more) == 0


def test_a_wrong_choice_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """By the parser or as a sentence."""
    run = book(tmp_path / "book")
    for argv in (["--to", "zip"], ["--to", "csv", "--shard-size", "big"], []):
        with pytest.raises(SystemExit):
            _run(run, *argv)
    for argv in (
        ["--where", "nope == 1"],
        ["--near", "99"],
        ["--per-page", "5"],
        ["--split", "a=1", "--split-column", "b"],
    ):
        with pytest.raises(SettingsInvalid):
            _run(run, "--to", "csv", *argv)
    assert not (run / "export").exists()


def test_a_killed_export_leaves_nothing_in_its_place(tmp_path: Path) -> None:
    """The next one starts from nothing and succeeds."""
    run = book(tmp_path / "book")
    out = tmp_path / "out"
    code = (
        "import os, sys\n"
        "from imagen_batch.exports.export import export\n"
        "def progress(what, done, all_):\n"
        "    if done == 4: os.kill(os.getpid(), 9)\n"
        "export(sys.argv[1], to='captions', out=sys.argv[2], progress=progress)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, run, out], check=False, timeout=60).returncode == -9
    assert not out.exists()
    assert list((tmp_path / ".out.part").rglob("*.png"))
    assert _run(run, "--to", "captions", "--out", out, "--quiet") == 0
    assert len([name for name in tree(out) if name.endswith(".png")]) == 10
    assert not (tmp_path / ".out.part").exists()
