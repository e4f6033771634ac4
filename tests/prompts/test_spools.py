"""A temporary copy of an input is removed whatever happens, also between its creation and its first byte."""

import gc
import os
import stat
import tempfile

import pytest

from imagen_batch.inputs.merge_rows import Merge, merged_csv
from imagen_batch.prompts.sources import Spool


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Return the folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_only_the_user_can_read_it_and_it_is_deleted_with_its_owner(folder):
    """Prompts may be private."""
    spool = Spool()
    spool.fill(iter([b"prompt\n", b"a mole\n"]))
    assert spool.path.read_bytes() == b"prompt\na mole\n"
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600
    del spool
    gc.collect()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("call", ["open", "close"])
def test_a_signal_right_after_its_creation_leaves_no_file(folder, monkeypatch, call):
    """The exception comes when the file exists and nothing of the program has its name yet."""
    original = getattr(os, call)

    def interrupt(*arguments):
        original(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, call, interrupt)
    with pytest.raises(KeyboardInterrupt):
        Spool()
    monkeypatch.undo()
    gc.collect()
    assert list(folder.iterdir()) == []


def test_a_signal_while_rows_are_merged_leaves_no_file(folder):
    """The rows come from another file, one by one."""

    def rows():
        raise KeyboardInterrupt
        yield

    spool = Spool()
    with pytest.raises(KeyboardInterrupt):
        spool.fill(merged_csv(Merge(["prompt"]), rows()))
    assert list(folder.iterdir()) == []
