"""Tests that images whose files are gone are made again only on request, and only those."""

from dataclasses import replace
from itertools import chain

from imagen_batch.planning.pending import count_pending, remaining_requests
from imagen_batch.records import SampleResult
from tests.support.plans import history_of, record_images, record_result, small_plan

ROWS = [{"prompt": "a", "samples": 2}, {"prompt": "b", "samples": 3}]


def _pending(plan, folder):
    requests = remaining_requests(plan, history_of(folder))
    return [(request.row, number) for request in requests for number in request.numbers]


def test_a_missing_file_of_the_first_or_the_last_sample_is_found(tmp_path):
    """With --retry missing exactly these samples are pending again."""
    plan = small_plan(tmp_path, ROWS, retry="missing")
    files = record_images(tmp_path, plan)
    assert _pending(plan, tmp_path) == []
    for name in (files[0][0], files[1][2]):
        (tmp_path / "out" / name).unlink()
    assert _pending(plan, tmp_path) == [(1, 1), (2, 3)]
    totals = count_pending(plan)
    assert (totals.samples, totals.made, totals.held) == (2, 3, 0)


def test_a_retry_of_failures_includes_images_whose_files_are_gone(tmp_path):
    """Their rows are listed as failed."""
    plan = small_plan(tmp_path, ROWS, retry="failed")
    files = record_images(tmp_path, plan)
    (tmp_path / "out" / files[1][0]).unlink()
    assert _pending(plan, tmp_path) == [(2, 1)]


def test_without_a_retry_files_are_not_checked(tmp_path):
    """The ledger has the image, and a later audit reports the missing file."""
    plan = small_plan(tmp_path, ROWS)
    for name in chain.from_iterable(record_images(tmp_path, plan)):
        (tmp_path / "out" / name).unlink()
    assert _pending(plan, tmp_path) == []
    assert count_pending(plan).made == 5


def test_missing_files_are_found_among_thousands(tmp_path, monkeypatch):
    """They are looked up in batches; each batch is checked."""
    monkeypatch.setattr("imagen_batch.planning.pending.find_pending.FILES_PER_LOOKUP", 2)
    plan = small_plan(tmp_path, ROWS, retry="missing")
    files = record_images(tmp_path, plan)
    (tmp_path / "out" / files[1][2]).unlink()
    assert _pending(plan, tmp_path) == [(2, 3)]


def test_rows_of_a_failures_file_are_sent_again_when_they_failed(tmp_path):
    """Other rows are not sent, and images are kept."""
    plan = replace(small_plan(tmp_path, ROWS), only=frozenset({2}))
    (first, _), (second, _) = plan.index
    for base in (first, second):
        record_result(tmp_path, base, SampleResult(1, "failed", error="no"), SampleResult(2, "filtered", reason="no"))
    assert _pending(plan, tmp_path) == [(2, 1), (2, 2), (2, 3)]
