"""Tests that an approved image is kept while its row waits for another image, and then moves to its key."""

from __future__ import annotations

from pathlib import Path

from imagen_batch.ledger.records import ReviewedVersion, ReviewRecord
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.pending import count_pending
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.samples.approved_images_of_waiting_rows import moves_from_placeholders
from imagen_batch.records import Move
from imagen_batch.storage import Folder
from tests.support.factories import ok
from tests.support.plans import history_of, record_result, small_plan

ROWS = [
    {"id": "fox", "prompt": "a fox", "samples": 1, "references": ""},
    {"id": "den", "prompt": "a den", "samples": 3, "references": "@fox"},
]


def _plan(folder: Path) -> tuple[RunPlan, str]:
    """Return a plan of a row that waits, and its placeholder. The samples 1, 3 and 4 are approved; it has three."""
    plan = small_plan(folder, ROWS, model="gemini-3-pro-image")
    plan.follow(history_of(folder))
    placeholder = plan.index.row_key(2)
    record_result(folder, placeholder, *map(ok, (1, 2, 3, 4)))
    writer = LedgerWriter(Folder(folder / "out"), now=3.0)
    writer.record_review([ReviewedVersion(placeholder, number, 1, "approve") for number in (1, 3, 4)], at=3.0)
    writer.close()
    return plan, placeholder


def test_nothing_moves_while_the_row_waits(tmp_path: Path) -> None:
    plan, _ = _plan(tmp_path)
    history = history_of(tmp_path)
    plan.follow(history)
    assert moves_from_placeholders(plan, history) == ()


def test_approved_images_move_to_the_key_that_the_row_gets_and_are_not_paid_again(tmp_path: Path) -> None:
    plan, placeholder = _plan(tmp_path)
    record_result(tmp_path, plan.index.row_key(1), ok(mime_type="image/png", bytes=5), now=4.0)
    history = history_of(tmp_path)
    plan.follow(history)
    key = plan.index.row_key(2)
    assert key != placeholder
    assert moves_from_placeholders(plan, history) == (Move(key, placeholder, (1, 3)),)
    totals = count_pending(plan)
    assert (totals.made, totals.samples) == (3, 1)
    record_result(tmp_path, key, ok(1), ok(3), now=5.0)
    history = history_of(tmp_path)
    assert moves_from_placeholders(plan, history) == (), "the row has images of its own"


def test_nothing_moves_where_no_row_refers_to_another_one(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, [{"prompt": "a fox"}])
    history = history_of(tmp_path)
    history.fold(ReviewRecord((ReviewedVersion(plan.index.row_key(1), 1, 1, "approve"),)), position=0)
    assert moves_from_placeholders(plan, history) == ()
