"""Tests that an interrupted export leaves nothing half, in a folder and in a bucket, and that there is a bar."""

from __future__ import annotations

import io
import sys
import uuid
from pathlib import Path

import pytest

from imagen_batch.cli.commands.export import _progress
from imagen_batch.exports.export import export
from imagen_batch.exports.formats import FORMATS
from imagen_batch.exports.output import target
from imagen_batch.storage import open_storage
from tests.exports.runs import book, tree

WITH_IMAGES = [name for name in FORMATS if name not in {"csv", "pdf"}]


class Killed(BaseException):
    """Stands for a process that ends at this point: nothing of it may run afterwards."""


def _interrupt(_step: str, done: int, _all: int) -> None:
    if done == 4:
        raise KeyboardInterrupt


@pytest.mark.parametrize("to", WITH_IMAGES)
def test_ctrl_c_leaves_the_former_export_and_nothing_else(to: str, tmp_path: Path) -> None:
    """The next export of the same run is complete."""
    run = book(tmp_path / "book")
    export(run, to=to, out=tmp_path / "out", where="row < 4")
    before = tree(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        export(run, to=to, out=tmp_path / "out", progress=_interrupt)
    assert tree(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert export(run, to=to, out=tmp_path / "out").images == 10


@pytest.mark.parametrize("to", ["imagefolder", "parquet", "webdataset", "captions"])
def test_ctrl_c_leaves_no_object_in_a_bucket(to: str, tmp_path: Path) -> None:
    """A bucket has no renaming, so what was uploaded is removed."""
    run, url = book(tmp_path / "book"), f"memory://pictures/{uuid.uuid4().hex}"
    with pytest.raises(KeyboardInterrupt):
        export(run, to=to, out=url, progress=_interrupt)
    assert list(open_storage(url).sizes("")) == []


def test_the_objects_of_a_killed_export_are_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then a mark says that what lies there is no export; a reader finds no card and no mark of a whole one."""
    run, url = book(tmp_path / "book"), f"memory://pictures/{uuid.uuid4().hex}"
    storage = open_storage(url)

    def kill(_storage: object) -> None:
        raise Killed

    monkeypatch.setattr(target, "_remove", lambda _storage: monkeypatch.setattr(target, "_remove", kill))
    with pytest.raises(Killed):
        export(run, to="captions", out=url, progress=_interrupt)
    monkeypatch.undo()
    left = {name for name, _ in storage.sizes("")}
    assert target._UNFINISHED in left
    assert target.MARK not in left
    storage.put("train/remains.png", b"half")
    export(run, to="captions", out=url)
    names = {name for name, _ in storage.sizes("")}
    assert "train/remains.png" not in names
    assert target._UNFINISHED not in names
    assert len([name for name in names if name.endswith(".txt")]) == 10


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_the_step_and_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar is on standard error, and --quiet has none."""
    run = book(tmp_path / "book")
    for silent in (False, True):
        terminal = _Terminal()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", terminal)
        with _progress(silent=silent) as progress:
            export(run, to="captions", out=tmp_path / "out", progress=progress)
        assert ("exporting" in terminal.getvalue() and "100%" in terminal.getvalue()) is not silent
