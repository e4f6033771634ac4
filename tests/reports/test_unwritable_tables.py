"""Tests a table that can't be written: the exit code is not 0, the summary names it, and the others are written."""

from __future__ import annotations

import csv
import errno
import json
from contextlib import contextmanager
from unittest.mock import patch

import pytest

from imagen_batch.reports.render import to_markdown, to_terminal
from imagen_batch.reports.tables.write_without_raising import TableFile, alternate_name
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.storage import Folder
from tests.support.runs import prompts, run

EVERY_FILE = (
    *("manifest.parquet", "manifest.csv", "metadata.parquet", "failures.csv", "README.md"),
    *("summary.json", "summary.md"),
)


def _rows(path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_table_whose_name_is_a_folder_is_written_under_another_name(tmp_path, sim, name):
    """Every image was made, but a table is missing: the exit code is 75, and all other files are new."""
    source = prompts(tmp_path, "one")
    (tmp_path / "out" / name / "inside").mkdir(parents=True)
    (tmp_path / "out" / ".imagen-batch").mkdir()
    (tmp_path / "out" / ".imagen-batch" / "settings.json").write_text("{}")
    ran = run(source, sim)
    summary = ran.summary
    assert (summary.exit_code, summary.state, summary.counts["ok"]) == (75, "paused", 1)
    assert [(lost.name, lost.alternate) for lost in summary.facts.unwritten] == [(name, alternate_name(name))]
    for text in (to_terminal(summary, color=False), to_markdown(summary).replace("\\", "")):
        assert name in text
        assert "could not be written" in text
    for other in set(EVERY_FILE) - {name}:
        assert (ran.folder / other).is_file(), other
    assert (ran.folder / alternate_name(name)).stat().st_size > 0
    report = json.loads((ran.folder / ("summary.new.json" if name == "summary.json" else "summary.json")).read_text())
    assert report["exit_code"] == 75
    assert [lost["file"] for lost in report["unwritten"]] == [name]


def test_an_alternate_file_is_removed_when_the_name_is_free_again(tmp_path, sim):
    """The next run writes the tables under their own names, and costs nothing."""
    source = prompts(tmp_path, "one", "two")
    first = run(source, sim)
    (first.folder / "manifest.csv").unlink()
    (first.folder / "manifest.csv").mkdir()
    assert run(source, sim).summary.exit_code == 75
    assert len(_rows(first.folder / "manifest.new.csv")) == 2
    (first.folder / "manifest.csv").rmdir()
    again = run(source, sim)
    assert again.summary.exit_code == 0
    assert again.summary.facts.unwritten == ()
    assert len(_rows(first.folder / "manifest.csv")) == 2
    assert not (first.folder / "manifest.new.csv").exists()
    assert len(sim.requests) == 2


def test_a_table_that_another_program_locks_is_written_under_another_name(tmp_path, sim):
    """It can't be replaced: the old one stays, the new one gets another name, and the summary names both."""
    source = prompts(tmp_path, "one")
    run(source, sim)
    replace = type(tmp_path).replace

    def locked(self, target):
        if str(target).endswith("manifest.csv"):
            raise PermissionError(errno.EPERM, "Operation not permitted")
        return replace(self, target)

    with patch.object(type(tmp_path), "replace", locked):
        ran = run(prompts(tmp_path, "one", "two"), sim)
    assert ran.summary.exit_code == 75
    assert "manifest.csv could not be written (Operation not permitted)" in str(ran.summary.stopped_by)
    assert len(_rows(ran.folder / "manifest.csv")) == 1
    assert len(_rows(ran.folder / "manifest.new.csv")) == 2
    assert len(ran.rows) == 2, "the parquet is new"


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_disk_that_fills_while_a_table_is_written_is_reported(tmp_path, sim, name):
    """The old table stays complete; every other one is new."""
    source = prompts(tmp_path, "one")
    first = run(source, sim)
    before = {each: (first.folder / each).stat().st_mtime_ns for each in EVERY_FILE}
    with patch.object(Folder, "write", _full_for(Folder.write, name)):
        ran = run(source, sim)
    assert ran.summary.exit_code == 75
    assert [(lost.name, lost.alternate) for lost in ran.summary.facts.unwritten] == [(name, None)]
    assert "No space left" in to_terminal(ran.summary, color=False)
    after = {each: (first.folder / each).stat().st_mtime_ns for each in EVERY_FILE}
    assert {each for each in EVERY_FILE if before[each] == after[each]} == {name}
    assert not list(first.folder.glob("*.new.*"))


def test_on_a_nearly_full_disk_as_many_tables_are_written_as_fit(tmp_path, sim):
    """Written together they do not fit; written one after the other, two of them do."""
    source = prompts(tmp_path, "one")
    large, opened = {"manifest.csv", "manifest.parquet", "metadata.parquet"}, set()
    write = Folder.write

    @contextmanager
    def crowded(self, name):
        opened.update({name} & large)
        try:
            with write(self, name) as handle:
                full = name == "metadata.parquet" or (name in large and len(opened) > 1)
                yield _Full(handle, lambda: full or (name in large and len(opened) > 1))
        finally:
            opened.discard(name)

    with patch.object(Folder, "write", crowded):
        ran = run(source, sim)
    assert [lost.name for lost in ran.summary.facts.unwritten] == ["metadata.parquet"]
    assert (ran.folder / "manifest.csv").is_file()
    assert len(ran.rows) == 1


def _full_for(write, full):
    @contextmanager
    def filling(self, name):
        with write(self, name) as handle:
            yield _Full(handle) if name == full else handle

    return filling


class _Full:
    def __init__(self, handle, is_full=lambda: True):
        self._handle = handle
        self._is_full = is_full

    def write(self, data):
        if not self._is_full():
            return self._handle.write(data)
        self._handle.write(bytes(data)[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name):
        return getattr(self._handle, name)


def test_an_image_that_is_a_link_to_itself_is_reported_as_missing(tmp_path, sim):
    """All other images are reported as ok."""
    source = prompts(tmp_path, "one", "two")
    first = run(source, sim)
    path = first.folder / first.rows[0]["file"]
    path.unlink()
    path.symlink_to(path.name)
    ran = run(source, sim)
    assert ran.summary.exit_code == 3
    assert [(row["status"], row["error_kind"]) for row in ran.rows] == [("failed", "file_missing"), ("ok", None)]
    assert run_status(first.folder).counts["ok"] == 1


def test_an_error_that_stopped_the_run_decides_the_exit_code(tmp_path, sim):
    """The images could not get their names: all are kept, but the user has to fix the folder."""
    source = prompts(tmp_path, "one")
    folder_link = Folder.link

    def no_images(self, source, name):
        if name.startswith("images/"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return folder_link(self, source, name)

    with patch.object(Folder, "link", no_images):
        ran = run(source, sim)
    assert ran.statuses == ["ok"]
    assert (ran.summary.exit_code, ran.summary.state) == (75, "paused")
    assert "output folder can't be written" in to_terminal(ran.summary, color=False)


def test_a_table_file_never_raises_and_remembers_the_first_error(tmp_path):
    """Later bytes are dropped, and the existing file stays."""
    (tmp_path / "a.csv").write_text("old")
    storage = Folder(tmp_path)
    with patch.object(Folder, "write", _full_for(Folder.write, "a.csv")):
        file = TableFile(storage, "a.csv")
    file.write(b"new")
    file.write(b"more")
    file.finish()
    assert (file.error.errno, (tmp_path / "a.csv").read_text()) == (errno.ENOSPC, "old")
    assert not list(tmp_path.glob(".*"))
