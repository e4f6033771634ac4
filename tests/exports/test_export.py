"""Tests that every format writes the same bytes each time, completely or not at all, and changes no original."""

from __future__ import annotations

import importlib.util
import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.exports.export import export
from imagen_batch.exports.formats import FORMATS
from imagen_batch.exports.output.target import MARK, open_target
from imagen_batch.storage import open_storage
from tests.exports.runs import HOSTILE, book, draw_image, image_sample, rows_of, set_columns, tree, write_run
from tests.support.storages import new_place


def _needs(name: str) -> Any:
    missing = name == "pdf" and importlib.util.find_spec("reportlab") is None
    return pytest.param(name, marks=pytest.mark.skipif(missing, reason="belongs to the extra `pdf`"))


EVERY = [_needs(name) for name in FORMATS]


@pytest.mark.parametrize("to", EVERY)
def test_two_exports_are_identical_and_originals_are_unchanged(to: str, tmp_path: Path) -> None:
    """This holds even if the second export replaces the first."""
    run = book(tmp_path / "book", prompts=HOSTILE)
    before = tree(run)
    first = export(run, to=to, out=tmp_path / "a", split="train=0.5,test=0.5", report=True)
    once = tree(tmp_path / "a")
    export(run, to=to, out=tmp_path / "b" / "deeper", split="train=0.5,test=0.5", report=True)
    export(run, to=to, out=tmp_path / "a", split="train=0.5,test=0.5", report=True)
    assert tree(tmp_path / "a") == tree(tmp_path / "b" / "deeper") == once
    assert tree(run) == before
    assert first.images == len(rows_of(run)) == 19
    assert first.left_out == {"filtered": 2}


@pytest.mark.parametrize("to", EVERY)
def test_a_failed_export_leaves_no_partial_output(to: str, tmp_path: Path) -> None:
    """The earlier export stays; the message has the row, the file and the command to type."""
    run = book(tmp_path / "book")
    export(run, to=to, out=tmp_path / "out", copy=True)
    before = tree(tmp_path / "out")
    if to == "csv":
        return  # needs no image
    (run / rows_of(run)[7]["file"]).unlink()
    with pytest.raises(
        SettingsInvalid, match=rf"row 9: images/.* is missing; run: imagen-batch audit {run} --repair"
    ):
        export(run, to=to, out=tmp_path / "out")
    with pytest.raises(SettingsInvalid):
        export(run, to=to, out=tmp_path / "new" / "place")
    assert tree(tmp_path / "out") == before
    assert [path.name for path in tmp_path.rglob(".*.part")] == []
    assert not (tmp_path / "new" / "place").exists()


@pytest.mark.parametrize("to", ["parquet", "webdataset", "pdf", "folder"])
def test_an_image_whose_bytes_changed_is_not_exported(to: str, tmp_path: Path) -> None:
    """Every format that reads the bytes checks them."""
    if to == "pdf":
        pytest.importorskip("reportlab")
    run = book(tmp_path / "book")
    (run / rows_of(run)[0]["file"]).write_bytes(draw_image(99))
    with pytest.raises(SettingsInvalid, match=r"row 1: .* is not the file that was received"):
        export(run, to=to, out=tmp_path / "out", embed_metadata=True)


@pytest.mark.parametrize(
    ("kind", "to"),
    [
        *(("memory", to) for to in ("imagefolder", "captions", "parquet", "webdataset", "csv", "folder", "coco")),
        *(("s3", to) for to in ("imagefolder", "parquet")),
    ],
)
def test_a_run_is_exported_from_and_to_a_bucket(
    kind: str, to: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The objects equal the files of an export to a folder."""
    run = book(tmp_path / "book", rows=40)
    url = new_place(kind, tmp_path, request)
    source = open_storage(url)
    for path in run.rglob("*"):
        if path.is_file():
            source.put(path.relative_to(run).as_posix(), path.read_bytes())
    export(run, to=to, out=tmp_path / "out", title="book")
    for _ in range(2):
        export(url, to=to, out=f"{url}-out", title="book")
    target = open_storage(f"{url}-out")
    names = {name for name, _ in target.sizes("") if not name.endswith("/")}
    assert names == set(tree(tmp_path / "out"))
    assert all(target.read(name) == (tmp_path / "out" / name).read_bytes() for name in names - {MARK})


def test_an_image_of_a_bucket_is_read_ahead_and_checked(tmp_path: Path) -> None:
    """A damaged image stops the export with its row."""
    run = book(tmp_path / "book", rows=40)
    url = f"memory://pictures/{uuid.uuid4().hex}"
    source = open_storage(url)
    for path in run.rglob("*"):
        if path.is_file():
            source.put(path.relative_to(run).as_posix(), path.read_bytes())
    source.put(rows_of(run)[30]["file"], draw_image(999))
    for to in ("imagefolder", "webdataset"):
        with pytest.raises(SettingsInvalid, match=r"row 33: .* is not the file that was received"):
            export(url, to=to, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_no_object_in_a_bucket(tmp_path: Path) -> None:
    """Even its mark is removed."""
    run = book(tmp_path / "book")
    (run / rows_of(run)[7]["file"]).unlink()
    url = f"memory://pictures/{uuid.uuid4().hex}"
    with pytest.raises(SettingsInvalid):
        export(run, to="captions", out=url)
    assert list(open_storage(url).sizes("")) == []


def test_the_remains_of_a_killed_export_are_removed(tmp_path: Path) -> None:
    """They are in a hidden folder beside the export."""
    run = book(tmp_path / "book")
    left = tmp_path / ".out.part" / "train"
    left.mkdir(parents=True)
    (left / "half.png").write_bytes(b"half")
    export(run, to="captions", out=tmp_path / "out")
    assert not list((tmp_path / "out").rglob("half.png"))
    assert not (tmp_path / ".out.part").exists()


def test_a_folder_that_is_not_an_export_is_never_changed(tmp_path: Path) -> None:
    """One file in it is enough."""
    run = book(tmp_path / "book")
    own = tmp_path / "mine"
    own.mkdir()
    (own / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingsInvalid, match="is not an export"):
        export(run, to="csv", out=own)
    with pytest.raises(SettingsInvalid, match="is not an export"):
        export(run, to="csv", out=run)
    assert tree(own).keys() == {"thesis.txt"}


def test_two_exports_never_write_to_the_same_folder(tmp_path: Path) -> None:
    """The second one is refused."""
    run = book(tmp_path / "book")
    with open_target(tmp_path / "out", {}) as target:
        target.put("x", b"x")
        with pytest.raises(FolderBusy, match="another export"):
            export(run, to="csv", out=tmp_path / "out")
    assert (tmp_path / "out" / "x").exists()


def test_images_are_links_to_the_originals_or_copies(tmp_path: Path) -> None:
    """A delivered file is always a copy: people edit it."""
    run = book(tmp_path / "book")
    for to, options, links in (
        ("captions", {}, 2),
        ("captions", {"copy": True}, 1),
        ("folder", {}, 1),
    ):
        export(run, to=to, out=tmp_path / "out", **options)
        images = list((tmp_path / "out").rglob("*.png"))
        assert {path.stat().st_nlink for path in images} == {links}
        export(run, to="csv", out=tmp_path / "out")


def test_the_side_table_lists_rows_left_out_with_their_reasons(tmp_path: Path) -> None:
    """These are refusals, rejections of a review, and images that --drop removes."""
    run = book(tmp_path / "book", prompts=["a fox"])
    set_columns(run, {"review": ["approved", "rejected", "redo", *[None] * 9, "approved"]})
    done = export(run, to="imagefolder", out=tmp_path / "out")
    assert done.left_out == {"filtered": 2, "redo": 1, "rejected": 1}
    table = pq.read_table(tmp_path / "out" / "left_out.parquet").to_pylist()
    assert [(row["row"], row["left_out"]) for row in table] == [
        (2, "rejected"),
        (3, "redo"),
        (5, "filtered"),
        (10, "filtered"),
    ]
    assert table[2]["raiFilteredReason"] == "The prompt was refused."


def test_only_approved_images_are_exported_on_request(tmp_path: Path) -> None:
    """A manifest of an earlier version, which had no reviews, is refused with a message."""
    run = book(tmp_path / "book")
    set_columns(run, {"review": None})
    with pytest.raises(SettingsInvalid, match="no column 'review'"):
        export(run, to="csv", approved=True)
    set_columns(run, {"review": ["approved", *[None] * 10, "approved"]})
    done = export(run, to="csv", approved=True, out=tmp_path / "out")
    assert done.images == 2
    assert done.left_out == {"filtered": 2, "not_approved": 8}


def test_where_limits_rows_and_an_empty_selection_is_explained(tmp_path: Path) -> None:
    """The message counts the rows by reason."""
    run = book(tmp_path / "book")
    assert export(run, to="csv", where="page <= 6 and chapter == '2'", out=tmp_path / "o").images == 2
    with pytest.raises(SettingsInvalid, match="--where keeps no row"):
        export(run, to="csv", where="page > 99")
    with pytest.raises(SettingsInvalid, match="1 filtered"):
        export(run, to="csv", where="row == 5")


def test_the_default_folder_is_below_the_run(tmp_path: Path) -> None:
    """It is DIR/export/FORMAT."""
    run = book(tmp_path / "book")
    assert export(run, to="csv").out == str(run / "export" / "csv")
    assert json.loads((run / "export" / "csv" / MARK).read_text())["format"] == "csv"


def test_an_invalid_run_or_option_is_refused(tmp_path: Path) -> None:
    """Each message names the mistake."""
    with pytest.raises(SettingsInvalid, match=r"has no manifest\.parquet"):
        export(tmp_path, to="csv")
    with pytest.raises(SettingsInvalid, match="unknown format; known: imagefolder"):
        export(tmp_path, to="zip")
    with pytest.raises(SettingsInvalid, match="no option 'colour'"):
        export(tmp_path, to="csv", colour=True)
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SettingsInvalid, match="can't be read"):
        export(tmp_path, to="csv")


def test_folders_hold_at_most_ten_thousand_files(tmp_path: Path) -> None:
    """The test uses one image many times."""
    data = draw_image(1)
    run = write_run(tmp_path / "run", (image_sample(row, data) for row in range(1, 10_003)))
    export(run, to="captions", out=tmp_path / "captions")
    export(run, to="imagefolder", out=tmp_path / "imagefolder")
    for to in ("captions", "imagefolder"):
        folders = {path.parent for path in (tmp_path / to).rglob("*.png")}
        assert len(folders) > 1
        assert max(len(list(folder.iterdir())) for folder in folders) <= 10_000


def test_a_rejected_image_whose_file_was_deleted_is_left_out_as_rejected(tmp_path: Path) -> None:
    """An image that nobody rejected and that has no file is named as such."""
    run = book(tmp_path / "book", prompts=["a fox"])
    files = pq.read_table(run / "manifest.parquet")["file"].to_pylist()
    files[1] = files[2] = None
    set_columns(run, {"review": [None, "rejected", *[None] * (len(files) - 2)], "file": files})
    done = export(run, to="csv", out=tmp_path / "out")
    assert done.left_out == {"filtered": 2, "no_file": 1, "rejected": 1}
