"""Tests what `plan` counts after approved rows were edited: the run has not recorded yet which images stay."""

from pathlib import Path

from imagen_batch.simulator import Simulator
from tests.support.reviewed_runs import counted, go, review
from tests.support.runs import write_csv


def test_the_plan_of_an_upgrade_counts_approved_images_of_edited_rows(tmp_path: Path, sim: Simulator) -> None:
    """It once took a sound ledger for a damaged one."""
    source = write_csv(tmp_path / "book.csv", [{"id": "fox", "prompt": "a fox"}, {"id": "hare", "prompt": "a hare"}])
    go(source, sim)
    review(tmp_path / "out", "approve", "fox")
    write_csv(source, [{"id": "fox", "prompt": "a red fox"}, {"id": "hare", "prompt": "a hare"}])
    planned = counted(source, sim, upgrade="4K")
    before = len(sim.images)
    go(source, sim, upgrade="4K")
    assert planned.samples == len(sim.images) - before == 1
