"""Tests that a sample is not retried twice in a run: a result since the run began counts as its turn."""

from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.pending import remaining_requests
from imagen_batch.records import RequestTrace, SampleResult
from imagen_batch.storage import Folder
from tests.support.factories import request
from tests.support.plans import history_of, record_result, small_plan

FAILED = SampleResult(1, "failed", error="no")


def _numbers(plan, folder, since):
    requests = remaining_requests(plan, history_of(folder), answered_since=since)
    return [number for request in requests for number in request.numbers]


def test_a_failure_since_the_run_began_is_not_retried_a_second_time(tmp_path):
    """A failure of an earlier run is retried; the second sample was never sent."""
    plan = small_plan(tmp_path, [{"prompt": "a", "samples": 2}], retry="failed")
    ((base, _),) = plan.index
    record_result(tmp_path, base, FAILED, finished_at=100.0)
    assert _numbers(plan, tmp_path, 100.5) == [1, 2]
    assert _numbers(plan, tmp_path, 100.0) == [2]
    assert _numbers(plan, tmp_path, None) == [1, 2]


def test_a_result_without_a_time_belongs_to_an_earlier_run(tmp_path):
    """Earlier versions did not record when a request ended."""
    plan = small_plan(tmp_path, [{"prompt": "a"}], retry="failed")
    ((base, _),) = plan.index
    writer = LedgerWriter(Folder(tmp_path / "out"), now=1.0)
    owner = request(1, base=base)
    writer.record_result(owner, (FAILED,), RequestTrace(owner.key, attempts=1))
    writer.close()
    assert _numbers(plan, tmp_path, 0.5) == [1]
    assert _numbers(plan, tmp_path, 0.0) == []
