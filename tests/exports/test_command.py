"""Tests the arguments of `imagen-batch export`, and its output."""

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
from imagen_batch.exports.quality.perceptual_hash import can_hash
from tests.exports.runs import book, tree


def _run(*argv: Any) -> int:
    parser = ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args([str(each) for each in argv]))


def test_the_result_is_a_few_lines_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal nothing is printed on standard error."""
    run = book(tmp_path / "book")
    assert _run(run, "--to", "imagefolder", "--out", tmp_path / "o", "--split", "train=0.5,test=0.5", "--report") == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == f"10 images exported to {tmp_path / 'o'}"
    assert "  left out: 2 filtered (left_out.parquet has each row)" in output.out
    assert "10 small" in output.out
    assert output.err == "" or not can_hash()


def test_with_json_there_is_exactly_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has the counts for scripts."""
    run = book(tmp_path / "book")
    _run(run, "--to", "csv", "--json", "--where", "page < 4", "--drop", "small,flat", "--min-side", "40")
    result = json.loads(capsys.readouterr().out)
    assert result["images"] == 3
    assert result["out"] == str(run / "export" / "csv")
    assert result["schema_version"] == 1


def test_every_format_is_offered_and_every_option_reaches_the_export(tmp_path: Path) -> None:
    """The names are listed twice, so that the help needs no import."""
    parser = ArgumentParser()
    command.add_arguments(parser)
    parsed = vars(parser.parse_args(["DIR", "--to", "csv"]))
    assert set(parsed) == {"folder", "to", "out", "as_json", "quiet"}
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


def test_an_invalid_option_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """The parser or the export refuses it."""
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


def test_a_killed_export_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    """The next one starts again and succeeds."""
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
