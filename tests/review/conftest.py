"""Starts one headless browser for all tests that need it."""

import shutil
import sys

import pytest

from imagen_batch.review import build_gallery
from tests.review.run_folders import run_folder


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    pytest.importorskip("websockets.sync.client")
    from tests.review import browser  # noqa: PLC0415 - needs the package above

    if browser.CHROMIUM is None or sys.platform == "win32":
        pytest.skip("there is no Chromium on this machine")
    home = tmp_path_factory.mktemp("chromium")
    running = browser.Chromium(home)
    yield running
    running.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def page(chromium):
    """A tab with a profile of its own."""
    with chromium.page() as tab:
        yield tab


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    """A run of 40 rows with 4 variants each, with its gallery. Tests read it and write nothing into it."""
    folder = run_folder(tmp_path_factory.mktemp("run") / "book", rows=40)
    build_gallery(folder)
    return folder
