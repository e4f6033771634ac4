"""Tests that a repair makes exactly the samples that it names, whatever the ledger has about them."""

from dataclasses import replace

from imagen_batch.planning.compact_row_index import PendingRow
from imagen_batch.planning.pending import count_pending, remaining_requests
from imagen_batch.records import SampleResult
from tests.support.factories import ok
from tests.support.plans import history_of, record_images, record_result, small_plan

ROWS = [{"prompt": "a", "samples": 2}, {"prompt": "b", "samples": 3}]
IMAGE = ok(file="images/a.png")


def _repair(folder):
    plan = small_plan(folder, ROWS)
    (first, _), (second, _) = plan.index
    return replace(plan, samples_to_remake=(PendingRow(1, first, [2]), PendingRow(2, second, [1, 3]))), second


def _samples(plan, folder, **since):
    requests = remaining_requests(plan, history_of(folder), **since)
    return [(request.row, number) for request in requests for number in request.numbers]


def test_the_named_samples_are_sent_and_the_others_counted_as_made(tmp_path):
    """Five images are recorded; three of them are lost."""
    plan, _ = _repair(tmp_path)
    record_images(tmp_path, plan)
    assert _samples(plan, tmp_path) == [(1, 2), (2, 1), (2, 3)]
    totals = count_pending(plan)
    assert (totals.samples, totals.made, totals.held) == (3, 2, 0)


def test_a_lost_sample_that_got_a_result_is_not_sent_a_second_time(tmp_path):
    """Only those without a result since the repair began are left."""
    plan, second = _repair(tmp_path)
    record_images(tmp_path, plan, finished_at=10.0)
    record_result(tmp_path, second, SampleResult(1, "failed", error="no"), finished_at=20.0)
    record_result(tmp_path, second, replace(_image(tmp_path), number=3), finished_at=20.0, now=3.0)
    assert _samples(plan, tmp_path, answered_since=15.0) == [(1, 2), (2, 1)]
    assert _samples(plan, tmp_path, answered_since=5.0) == []


def _image(folder):
    history = history_of(folder)
    plan = small_plan(folder, ROWS)
    (_, _), (second, _) = plan.index
    details = history.details(second, 3)
    assert details is not None
    return details[0]


def test_samples_beyond_those_of_the_row_are_not_counted(tmp_path):
    """An earlier version of the file requested four images of a row that now requests two."""
    plan, _ = _repair(tmp_path)
    (first, _), _ = plan.index
    record_result(tmp_path, first, *(replace(IMAGE, number=number) for number in (1, 2, 3, 4)))
    assert count_pending(plan).made == 1  # the second is lost
    whole = small_plan(tmp_path, ROWS, retry="missing failed")
    assert [(request.row, list(request.numbers)) for request in remaining_requests(whole, history_of(tmp_path))] == [
        (1, [1, 2]),
        (2, [1, 2, 3]),
    ]
    assert count_pending(small_plan(tmp_path, ROWS)).made == 2


def test_a_row_that_an_earlier_version_made_counts_as_made_during_a_repair(tmp_path):
    """Its image is recorded under the key of that version."""
    plan = small_plan(tmp_path, [{"prompt": "A fox.", "style": "ink"}, {"prompt": "b", "style": ""}])
    ((row, _, earlier, _),) = plan.index.earlier_keys()
    assert row == 1
    record_result(tmp_path, earlier, IMAGE)
    lost = (PendingRow(2, plan.index.row_key(2), [1]),)
    totals = count_pending(replace(plan, samples_to_remake=lost))
    assert (totals.made, totals.samples, totals.held) == (1, 1, 0)


def test_the_first_three_pending_rows_are_known(tmp_path):
    """The text of a plan names them; a fourth is only counted."""
    totals = count_pending(small_plan(tmp_path, [{"prompt": letter} for letter in "abcd"]))
    assert [pending.row for pending in totals.first] == [1, 2, 3]
    assert totals.samples == 4


def test_a_row_that_an_earlier_version_made_is_not_sent_again(tmp_path):
    """Its new text would be another request, for a small difference in commas."""
    plan = small_plan(tmp_path, [{"prompt": "A fox.", "style": "ink"}, {"prompt": "b", "style": ""}])
    ((_, _, earlier, _),) = plan.index.earlier_keys()
    record_result(tmp_path, earlier, IMAGE)
    assert [request.row for request in remaining_requests(plan, history_of(tmp_path))] == [2]
