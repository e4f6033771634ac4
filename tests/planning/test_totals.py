"""Tests that the totals of a plan equal those of its requests, and that problems of a file are reported once."""

from datetime import date

import pytest

from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.keys import identity_options
from imagen_batch.planning.pending import count_pending, remaining_requests
from imagen_batch.planning.requests_and_shards import request_count, shard_size, shards, single_sample
from imagen_batch.records import Options, SampleResult
from imagen_batch.settings import make_settings
from imagen_batch.storage import LEDGER, Folder, open_storage
from tests.support.factories import ok, request, trace
from tests.support.runs import TODAY, write_csv

IMAGEN = "imagen-4.0-generate-001"
ROWS = [{"prompt": "a", "samples": 6}, {"prompt": "b", "samples": 1}, {"prompt": "c", "samples": 4}]


def _plan(folder, rows=ROWS, **chosen):
    source = write_csv(folder / "book.csv", rows)
    settings = {
        "prompts": str(source),
        "out": str(folder / "out"),
        "provider": "simulator",
        "model": IMAGEN,
        **chosen,
    }
    return make_plan(make_settings(settings), today=TODAY)


def test_the_totals_of_a_new_run(tmp_path):
    """The rows need requests for 4 + 2, 1 and 4 images, at four cents an image."""
    left = count_pending(_plan(tmp_path))
    assert (left.requests, left.samples, left.unpriced) == (4, 11, 0)
    assert left.usd == pytest.approx(0.44)
    assert (left.dearest, left.cheapest, left.smallest) == pytest.approx((0.16, 0.04, 1))
    assert (left.made, left.held) == (0, 0)
    assert [(row, list(numbers)) for row, _, numbers, _ in left.first] == [
        (1, [1, 2, 3, 4, 5, 6]),
        (2, [1]),
        (3, [1, 2, 3, 4]),
    ]


def test_the_totals_of_a_run_that_continues(tmp_path):
    """Recorded images are made, failures are held until they are retried."""
    plan = _plan(tmp_path)
    storage = Folder(tmp_path / "out")
    storage.put("images/a.png", b"")
    writer = LedgerWriter(storage, now=1.0)
    first, second = list(plan.index)[:2]
    samples = (*(ok(number) for number in (1, 2, 3)), SampleResult(4, "failed", error="no"))
    writer.record_result(request(1, base=first[0]), samples, trace(request(1).key))
    writer.record_result(request(2, base=second[0]), (ok(),), trace(request(2).key))
    writer.close()
    left = count_pending(plan)
    assert (left.requests, left.samples, left.made, left.held) == (2, 6, 4, 1)
    assert left.usd == pytest.approx(0.24)
    assert [list(sent.numbers) for sent in remaining_requests(plan, _history(plan))] == [[5, 6], [1, 2, 3, 4]]


def _history(plan):
    return read_history(open_storage(plan.settings.folder).logs(LEDGER))


def test_a_finished_run_has_nothing_left(tmp_path):
    """Its cheapest request costs nothing."""
    plan = _plan(tmp_path, [{"prompt": "a"}])
    storage = Folder(tmp_path / "out")
    storage.put("images/a.png", b"")
    writer = LedgerWriter(storage, now=1.0)
    ((base, _),) = plan.index
    writer.record_result(request(1, base=base), (ok(),), trace(request(1).key))
    writer.close()
    left = count_pending(plan)
    assert (left.requests, left.samples, left.cheapest, left.smallest, left.first) == (0, 0, 0.0, 0, ())


def test_requests_are_counted_by_contiguous_ranges():
    """A gap begins a new request, and so does a full one."""
    assert request_count([1, 2, 3, 4], 4) == 1
    assert request_count([1, 2, 3, 4, 5], 4) == 2
    assert request_count([1, 3], 4) == 2
    assert request_count([], 4) == 0


def test_a_single_sample_has_its_part_of_the_price():
    """It has its own key and name; without a known price there is nothing to divide."""
    pair = request(1, samples=2, names=("images/1_00000000", "images/2_00000000"), price=0.08)
    single = single_sample(pair, 2)
    assert (single.first, single.samples, single.price) == (2, 1, 0.04)
    assert single.key != pair.key
    assert single.names == (f"images/2_{single.key[:8]}",)
    assert single_sample(request(1, price=None), 1).price is None


def test_shards_are_bounded_in_number():
    """Each has between 50 and 2000 requests."""
    assert [shard_size(count) for count in (1, 25_001, 500_000, 1_000_000, 10_000_000)] == [50, 51, 1000, 2000, 2000]


def test_shards_are_contiguous_and_complete():
    """The last one may be smaller; long prompts make smaller ones."""
    requests = [request(number) for number in range(7)]
    assert [len(shard) for shard in shards(requests, 3)] == [3, 3, 1]
    assert [sent for shard in shards(requests, 3) for sent in shard] == requests
    assert [len(shard) for shard in shards([], 3)] == []


def test_billing_labels_are_part_of_a_key_only_for_predict():
    """They have always been part of it there, and keys must not change."""
    labeled = Options(seed=1, labels=(("team", "art"),))
    assert identity_options(labeled, dialect="generate_content") == Options(seed=1)
    assert identity_options(labeled, dialect="predict") == labeled
    assert identity_options(Options(seed=1), dialect="predict") == Options(seed=1)


def test_every_problem_of_a_row_is_reported(tmp_path):
    """Rows without a problem are not reported."""
    rows = [{"prompt": "a", "samples": "0"}, {"prompt": "b", "samples": "1"}, {"prompt": "c", "samples": "x"}]
    with pytest.raises(InputInvalid) as caught:
        _plan(tmp_path, rows)
    assert [problem.line for problem in caught.value.problems] == [2, 4]


def test_the_number_of_reported_problems_is_limited(tmp_path):
    """A file of another kind has a problem in every line."""
    with pytest.raises(InputInvalid) as caught:
        _plan(tmp_path, [{"prompt": "a", "samples": "x"}] * 10_050)
    assert len(caught.value.problems) == 10_000


def test_a_problem_of_a_setting_is_reported_once_as_a_setting(tmp_path):
    """It is the same for every row."""
    with pytest.raises(SettingsInvalid) as caught:
        _plan(tmp_path, [{"prompt": "a"}, {"prompt": "b"}], model="gemini-nano-banana-2.1", aspect_ratio="17:3")
    assert str(caught.value).count("17:3") == 1


def test_a_plan_knows_its_file(tmp_path):
    """A later command can read it again."""
    assert _plan(tmp_path).source == tmp_path / "book.csv"


def test_a_retired_model_is_refused_except_by_the_simulator(tmp_path):
    """The simulator offers every model forever."""
    source = write_csv(tmp_path / "book.csv", ROWS)
    settings = {"prompts": str(source), "out": str(tmp_path / "out"), "model": IMAGEN}
    late = date(2099, 1, 1)
    assert make_plan(make_settings({**settings, "provider": "simulator"}), today=late).rows == 3
    with pytest.raises(SettingsInvalid, match=IMAGEN):
        make_plan(make_settings({**settings, "provider": "gemini"}), today=late)


def test_a_file_name_that_can_not_be_used_is_reported_with_its_row(tmp_path):
    """Other rows are not affected."""
    rows = [{"prompt": "a", "filename": "fine"}, {"prompt": "b", "filename": "../outside"}]
    with pytest.raises(InputInvalid) as caught:
        _plan(tmp_path, rows)
    (problem,) = caught.value.problems
    assert (problem.line, problem.column, problem.found) == (3, "filename", "../outside")
