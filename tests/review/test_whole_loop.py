"""The loop of a book on the simulator: run, review in a real browser, run again."""

from hashlib import sha256

import pytest

import imagen_batch
from imagen_batch.simulator import Simulator
from tests.review.browser import CTRL, SHIFT
from tests.review.test_page_in_browser import export_review, open_page
from tests.support.runs import write_csv

pytestmark = pytest.mark.browser

ROWS, VARIANTS = 40, 4
EDITED = (31, 32)


def checksums(folder):
    """The SHA-256 of each image, by name."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in (folder / "images").iterdir()}


def approve_the_first_variant(page, row):
    page.run("document.querySelector('#grid').focus()")
    page.press("Home", *["ArrowRight"] * ((row - 1) * VARIANTS), "a")


def edit_the_prompt_of_the_first_variant(page, row, text):
    page.press("/")
    page.run("document.querySelector('#search').value = ''")
    page.type(f"number {row}")
    page.wait_for(f"document.querySelector('.card').dataset.item === '{(row - 1) * VARIANTS}'")
    page.press("Escape", "Home", "e")
    page.wait_for("document.querySelector('#dialog').open")
    page.type(text)
    page.press("Enter", modifiers=CTRL)


def test_a_review_in_the_browser_makes_exactly_the_next_run(page, tmp_path, monkeypatch):
    """40 rows x 4: 30 approved, 5 to redo, 2 edited. The next run sends 7 requests and changes no existing file."""
    rows = [{"id": f"s{row}", "prompt": f"A hedgehog with lantern number {row}"} for row in range(1, ROWS + 1)]
    source, folder = write_csv(tmp_path / "book.csv", rows), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    with Simulator() as simulator:
        service = {"provider": "simulator", "base_url": simulator.url, "out": folder, "samples": VARIANTS}
        assert imagen_batch.run(source, **service).counts["ok"] == ROWS * VARIANTS
        before, sent = checksums(folder), len(simulator.requests)

        open_page(page, folder)
        for row in range(1, 31):
            approve_the_first_variant(page, row)
        page.press("End")
        page.press(*["ArrowLeft"] * 4, modifiers=SHIFT)
        page.press("x")  # five cards at once: the last of row 39, and all of row 40
        for row in EDITED:
            edit_the_prompt_of_the_first_variant(page, row, " at night")
        page.click("#clear-filters")
        export_review(page, tmp_path)
        (folder / "review.csv").write_bytes((page.downloads / "review.csv").read_bytes())

        summary = imagen_batch.run(source, **service, redo=True)
        prompts = [request.body.decode() for request in simulator.requests[sent:]]
        assert len(prompts) == 7
        assert sum("at night" in prompt for prompt in prompts) == len(EDITED)
        assert summary.exit_code == 0

        manifest = imagen_batch.read_manifest(folder)
        assert (manifest["review"] == "approved").sum() == 30
        assert (manifest["version"] == 2).sum() == 7
        assert checksums(folder).items() >= before.items()
        assert len(checksums(folder)) == ROWS * VARIANTS + 7

        imagen_batch.run(source, **service, redo=True)
        assert len(simulator.requests) == sent + 7

    open_page(page, folder)
    assert page.run("document.querySelector('#progress-text').textContent") == "30 of 160 decided"
    assert page.complaints() == []
