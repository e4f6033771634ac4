"""Tests that the page at the end of a run is bounded in time and size, and never makes a run fail."""

import json
import os
import re

import pytest

from imagen_batch.cli.argument_parser import make_parser
from imagen_batch.orchestration.execution import Execution
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.pending import count_pending
from imagen_batch.reports.render import to_terminal
from imagen_batch.review import gallery, manifest_items, run_gallery, write_gallery
from imagen_batch.review.decisions.ledger_items import LedgerItems
from imagen_batch.review.gallery_items import GalleryItem
from imagen_batch.review.run_gallery import write_run_gallery
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.storage import Folder, open_storage
from tests.review.run_folders import image_bytes, key_of, run_folder
from tests.support.runs import TODAY, prompts
from tests.support.scripted_service import answering, gemini_reply

GEMINI = "gemini-nano-banana-2.1"


def refuse(text):
    pytest.fail(text)


def page_items(folder):
    """Return the number of items of the page."""
    blocks = re.findall(rb'class="items">(.*?)</script>', (folder / "gallery.html").read_bytes())
    return sum(json.loads(block)["count"] for block in blocks)


def thumbnails(folder):
    return list(folder.glob(".imagen-batch/thumbs/*/*.webp"))


def test_the_page_is_written_with_thumbnails_while_there_is_time(tmp_path):
    folder = run_folder(tmp_path / "run", rows=4)
    assert write_run_gallery(Folder(folder), warn=refuse, clock=lambda: 0.0)
    assert page_items(folder) == 16
    assert len(thumbnails(folder)) == 15


def test_no_thumbnail_is_started_after_the_time_limit(tmp_path):
    folder = run_folder(tmp_path / "run", rows=4)
    clock = lambda: 0.0 if len(thumbnails(folder)) < 3 else 0.6  # noqa: E731
    assert write_run_gallery(Folder(folder), warn=refuse, clock=clock)
    assert 3 <= len(thumbnails(folder)) <= 3 + 4  # each thread of the pool may have begun one more
    assert page_items(folder) == 16
    assert b'"thumbnail"' in (folder / "gallery.html").read_bytes()


def test_an_interrupted_run_makes_no_thumbnails_and_uses_those_that_exist(tmp_path):
    folder = run_folder(tmp_path / "run", rows=2)
    assert write_run_gallery(Folder(folder), warn=refuse, is_stopped=lambda: True)
    assert thumbnails(folder) == []
    assert write_run_gallery(Folder(folder), warn=refuse, clock=lambda: 0.0)
    page = (folder / "gallery.html").read_bytes()
    assert write_run_gallery(Folder(folder), warn=refuse, is_stopped=lambda: True)
    assert (folder / "gallery.html").read_bytes() == page


def test_a_run_without_new_images_makes_few_thumbnails_and_uses_those_that_exist(tmp_path):
    folder = run_folder(tmp_path / "run", rows=4)
    clock = lambda: 0.0 if not thumbnails(folder) else 0.5  # noqa: E731
    assert write_run_gallery(Folder(folder), warn=refuse, has_new_images=False, clock=clock)
    made = len(thumbnails(folder))
    assert 1 <= made <= 4  # each thread of the pool may have begun one
    assert write_run_gallery(Folder(folder), warn=refuse, has_new_images=True, clock=lambda: 0.0)
    assert len(thumbnails(folder)) == 15


def test_the_ledger_is_read_only_for_reviews(tmp_path, monkeypatch):
    folder = run_folder(tmp_path / "run", rows=2)
    read = []
    monkeypatch.setattr(manifest_items, "read_ledger_items", lambda path: read.append(path) or LedgerItems())
    assert write_run_gallery(Folder(folder), warn=refuse, has_reviews=False)
    assert not read
    assert write_run_gallery(Folder(folder), warn=refuse)
    assert read == [folder]


def test_a_page_of_too_many_samples_shows_the_first_ones_with_a_notice(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "MAX_ITEMS", 10)
    folder = run_folder(tmp_path / "run", rows=4)
    assert write_run_gallery(Folder(folder), warn=refuse)
    assert page_items(folder) == 10
    notice = b"This page shows the first 10 of 16 samples. manifest.csv has all of them."
    assert notice in (folder / "gallery.html").read_bytes()


def test_the_size_of_a_page_is_bounded(tmp_path):
    """100,000 samples take about 100 bytes each."""
    items = (
        GalleryItem(row=row, sample=1, status="failed", prompt=f"A fox number {row}", key=key_of(row % 7))
        for row in range(5_000)
    )
    with (tmp_path / "gallery.html").open("wb") as target:
        write_gallery(items, target, title="many", run="r")
    assert (tmp_path / "gallery.html").stat().st_size < 5_000 * 120 + 120_000


@pytest.mark.parametrize("damage", ["no manifest", "not a manifest", "a folder in its place", "no right to write"])
def test_a_page_that_cannot_be_written_causes_a_warning_and_no_exception(tmp_path, damage):
    folder = run_folder(tmp_path / "run", rows=1)
    if damage == "no manifest":
        (folder / "manifest.parquet").unlink()
    elif damage == "not a manifest":
        (folder / "manifest.parquet").write_bytes(b"PAR1 something else PAR1")
    elif damage == "a folder in its place":
        (folder / "gallery.html").mkdir()
        (folder / "gallery.html/x").touch()
    elif os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    else:
        folder.chmod(0o500)
    warnings = []
    assert not write_run_gallery(Folder(folder), warn=warnings.append)
    folder.chmod(0o700)
    assert len(warnings) == 1
    assert "gallery.html could not be written" in warnings[0]
    assert "The images and tables are complete." in warnings[0]


def test_a_bucket_gets_the_page_without_thumbnails(tmp_path):
    pytest.importorskip("fsspec")
    folder = run_folder(tmp_path / "run", rows=2)
    storage = open_storage("memory://bucket/gallery-test")
    with storage.write("manifest.parquet") as target:
        target.write((folder / "manifest.parquet").read_bytes())
    assert write_run_gallery(storage, warn=refuse)
    page = storage.read("gallery.html")
    assert b"images/000001_01" in page
    assert b".webp" not in page


def execute_run(source, service, **settings):
    """Execute a run as the command and the flow do; return its summary, folder and warnings."""
    folder = source.parent / "out"
    chosen = {
        "prompts": str(source),
        "out": str(folder),
        "provider": "simulator",
        "base_url": service.url,
        **settings,
    }
    plan = make_plan(make_settings({"model": GEMINI, "wait_initial": 0.0, **chosen}), today=TODAY)
    warnings = []
    with open_run(plan, env={}) as current:
        summary = Execution(current, count_pending(plan, current.history)).complete(notify=warnings.append)
    return summary, folder, warnings


def test_a_run_writes_the_page_and_its_summary_lists_it(tmp_path, monkeypatch):
    monkeypatch.setattr(run_gallery, "_MAX_SECONDS", 60.0)  # for a busy machine
    monkeypatch.setattr(run_gallery, "_SECONDS", 60.0)
    with answering(gemini_reply(image_bytes(1, size=(320, 320)))) as service:
        summary, folder, warnings = execute_run(prompts(tmp_path, "a fox"), service)
    assert (page_items(folder), len(thumbnails(folder)), warnings) == (1, 1, [])
    assert "[gallery.html](gallery.html)" in (folder / "summary.md").read_text()
    assert f"{folder}/gallery.html" in to_terminal(summary, color=False)


def test_a_run_writes_no_page_if_the_gallery_is_turned_off(tmp_path):
    with answering(gemini_reply(image_bytes(1, size=(320, 320)))) as service:
        summary, folder, _ = execute_run(prompts(tmp_path, "a fox"), service, gallery=False)
    assert not (folder / "gallery.html").exists()
    assert not (folder / ".imagen-batch/thumbs").exists()
    assert "gallery.html" not in (folder / "summary.md").read_text() + to_terminal(summary, color=False)


def test_a_page_that_cannot_be_written_changes_neither_state_nor_exit_code(tmp_path):
    (tmp_path / "out/gallery.html/x").mkdir(parents=True)
    (tmp_path / "out/.imagen-batch").mkdir()
    (tmp_path / "out/.imagen-batch/settings.json").write_text("{}")
    with answering(gemini_reply(image_bytes(1, size=(320, 320)))) as service:
        summary, folder, warnings = execute_run(prompts(tmp_path, "a fox"), service)
    assert (summary.state, summary.exit_code) == ("finished", 0)
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: gallery.html could not be written")
    assert "gallery.html" not in (folder / "summary.md").read_text()


def test_the_option_is_on_the_command_line():
    assert vars(make_parser().parse_args(["run", "book.csv", "--no-gallery"]))["gallery"] is False
    assert "gallery" not in vars(make_parser().parse_args(["run", "book.csv"]))
