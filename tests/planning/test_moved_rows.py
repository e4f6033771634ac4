"""Tests that images of edited rows count for the rows to which they now belong, before the run records that."""

from dataclasses import replace

from imagen_batch.planning.pending import count_pending
from imagen_batch.records import Move
from tests.support.factories import ok
from tests.support.plans import record_result, small_plan

OTHER = "ef" * 32


def test_an_image_that_moves_to_a_row_counts_as_made(tmp_path):
    """The run has the same count after it has recorded the move."""
    plan = small_plan(tmp_path, [{"prompt": "a", "samples": 2}])
    ((base, _),) = plan.index
    record_result(tmp_path, OTHER, ok(1, file="images/a.png"), ok(2, file="images/b.png"))
    assert (count_pending(plan).made, count_pending(plan).samples) == (0, 2)
    moved = replace(plan, moves=(Move(base, OTHER, (1,)),))
    assert (count_pending(moved).made, count_pending(moved).samples) == (1, 1)
