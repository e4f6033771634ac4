"""The number of older images in a folder is right after files were deleted."""

import pytest

from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.simulator import Simulator
from tests.support.reviewed_runs import go, review
from tests.support.runs import prompts


@pytest.fixture
def sim():
    """Run a simulator."""
    with Simulator() as simulator:
        yield simulator


def test_deleted_files_of_rejected_images_do_not_hide_older_images(tmp_path, sim):
    """A rejected image counts as ok although its file is gone."""
    go(prompts(tmp_path, "old one", "old two", "new one", "new two", "new three"), sim)
    source = prompts(tmp_path, "new one", "new two", "new three")
    ran = go(source, sim)
    assert ran.summary.facts.older_images == 2
    review(ran.folder, "reject", "1", "2")
    for row in ran.rows[:2]:
        (ran.folder / row["file"]).unlink()
    assert run_status(ran.folder).facts.older_images == 2
    ran = go(source, sim)
    assert ran.summary.facts.older_images == 2
    (tmp_path / "out" / ran.rows[2]["file"]).unlink()
    assert run_status(ran.folder).facts.older_images == 2
