"""Tests that many files of a folder are looked up together with the same results as one by one."""

from pathlib import Path

import pytest

from imagen_batch.storage import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A folder with 150 files, a folder and a link; its path is relative."""
    monkeypatch.chdir(tmp_path)
    storage = Folder(Path("out"))
    for number in range(150):
        storage.put(f"images/{number} ü.png", b"x" * number)
    (tmp_path / "out" / "images" / "folder").mkdir()
    (tmp_path / "out" / "images" / "link").symlink_to("7 ü.png")
    return storage


def test_hundreds_of_files_have_the_sizes_of_each(folder: Folder) -> None:
    """Missing files have none; a link has the size of its file."""
    names = [f"images/{number} ü.png" for number in range(200)]
    assert folder.sizes_of([*names, "images/link"]) == [*range(150), *[None] * 50, 7]
    assert folder.sizes_of(names) == [folder.size(name) for name in names]


def test_a_name_that_is_not_unicode_does_not_hide_the_others(folder: Folder) -> None:
    """Each is then looked up alone."""
    names = [f"images/{number} ü.png" for number in range(150)]
    assert folder.sizes_of([*names, "images/\udcff.png"]) == [*range(150), None]


def test_a_name_that_no_file_can_have_is_an_error(folder: Folder) -> None:
    """As for a single file: the caller decides what it means."""
    names = [f"images/{number} ü.png" for number in range(150)]
    with pytest.raises(OSError, match="too long"):
        folder.sizes_of([*names, "x" * 300])
