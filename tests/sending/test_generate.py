"""Generating a request saves its images and records one result for each sample."""

import errno
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from imagen_batch.errors import Fatal, Transient
from imagen_batch.providers.transport import RawReply
from imagen_batch.sending.generate import generate, generate_shard
from tests.support.factories import request
from tests.support.sending import (
    HALF_IMAGE,
    IMAGE,
    MODEL,
    OTHER_IMAGE,
    PRICE,
    images,
    predict_request,
    sending,
)

LOST = Transient("timed out", kind="timeout", maybe_charged=True, lost=True)
REFUSED = Transient("overloaded", kind="overloaded", http_status=503)


def _generate(sent, samples=1):
    generate(predict_request(samples), sent.context)
    return sorted(sent.results, key=lambda sample: sample.number)


def test_images_are_saved_and_recorded(tmp_path):
    """The file has the bytes as they came; the result is in the ledger and passed on."""
    sent = sending(tmp_path, images(IMAGE, OTHER_IMAGE))
    results = _generate(sent, 2)
    assert [sample.status for sample in results] == ["ok", "ok"]
    assert [(tmp_path / sample.file).read_bytes() for sample in results] == [IMAGE, OTHER_IMAGE]
    assert [sample.cost_usd for sample in results] == pytest.approx([PRICE, PRICE])
    base = predict_request().base
    assert [sent.history.details(base, number)[0] for number in (1, 2)] == results
    assert sent.history.details(base, 1)[1].attempts == 1
    assert list((tmp_path / ".imagen-batch" / "incoming").iterdir()) == []


def test_an_image_beyond_those_that_were_requested_is_kept_and_the_first_one_says_so(tmp_path):
    """It may be the right one, and the service may have charged for it."""
    sent = sending(tmp_path, images(IMAGE, OTHER_IMAGE))
    [sample] = _generate(sent)
    assert (tmp_path / sample.file).read_bytes() == IMAGE
    assert sample.warnings == ("extra_image",)
    [kept] = (tmp_path / ".imagen-batch" / "quarantine").iterdir()
    assert kept.read_bytes() == OTHER_IMAGE


def test_one_damaged_image_of_four_is_requested_alone(tmp_path):
    """There are requests for 4 and for 1, and a bill of 5."""
    sent = sending(tmp_path, images(IMAGE, HALF_IMAGE, OTHER_IMAGE, IMAGE), images(OTHER_IMAGE))
    results = _generate(sent, 4)
    assert [sample.status for sample in results] == ["ok"] * 4
    assert sent.transport.sample_counts == [4, 1]
    assert sum(sample.cost_usd for sample in results) == pytest.approx(5 * PRICE)
    assert sent.history.cost_bounds().spent == pytest.approx(5 * PRICE)
    assert sent.context.budget.used == pytest.approx((5 * PRICE, 4))
    assert sent.context.budget._outstanding == 0


def test_an_image_that_is_damaged_twice_is_a_failure(tmp_path):
    """The payment among the others counts as the first one."""
    sent = sending(tmp_path, images(IMAGE, HALF_IMAGE), images(HALF_IMAGE))
    results = _generate(sent, 2)
    assert [sample.status for sample in results] == ["ok", "failed"]
    assert sent.transport.sample_counts == [2, 1]
    assert sum(sample.cost_usd for sample in results) == pytest.approx(3 * PRICE)


def test_used_up_attempts_are_recorded_for_every_sample(tmp_path):
    """Their cost is unknown where a reply was lost."""
    sent = sending(tmp_path, LOST, REFUSED, max_attempts=2)
    results = _generate(sent, 2)
    assert [(sample.number, sample.status, sample.cost_usd) for sample in results] == [
        (1, "failed", None),
        (2, "failed", None),
    ]
    assert "overloaded, 2 attempts" in results[0].error
    sent = sending(tmp_path, REFUSED, LOST, max_attempts=2)
    assert [sample.status for sample in _generate(sent)] == ["unknown"]


def test_failing_attempts_together_with_a_limit_do_not_hang(tmp_path):
    """Eight threads share a budget for three images: all that fail give their money back, once."""
    replies = [REFUSED, LOST, images(IMAGE)] * 20
    sent = sending(tmp_path, *replies, budget={"max_images": 3, "max_cost": 3 * PRICE}, max_attempts=2)
    requests = [
        request(number, model=MODEL.id, dialect="predict", price=PRICE, names=(f"images/{number}_{number:08x}",))
        for number in range(8)
    ]
    with ThreadPoolExecutor(8) as threads:
        generate_shard(requests, sent.context, threads=threads)
    used, image_count = sent.context.budget.used
    assert used <= 3 * PRICE + 1e-9
    assert image_count <= 3
    assert sent.context.budget._outstanding == 0
    assert sent.history.max_images_made() == image_count
    assert sent.history.cost_bounds().upper_bound == pytest.approx(used)
    assert sent.context.governor(MODEL.id)._pace._in_flight == 0


@pytest.mark.parametrize("budget", [{"max_cost": 0.01}, {"max_images": 0}])
def test_a_request_over_the_budget_has_no_result(tmp_path, budget):
    """The run continues, and reports it as skipped."""
    sent = sending(tmp_path, images(IMAGE), budget=budget)
    assert _generate(sent) == []
    assert sent.context.budget.is_exhausted
    assert not sent.context.stop.is_set
    assert sent.records == []


def test_a_stopping_run_sends_nothing(tmp_path):
    """This holds at the start and between the requests for damaged images."""
    sent = sending(tmp_path, images(IMAGE))
    sent.context.stop.interrupt(2)
    assert _generate(sent) == []
    assert sent.transport.payloads == []


def test_disk_space_is_released_however_the_request_ends(tmp_path):
    """Otherwise the next requests would wait for it forever."""
    for reply in (images(IMAGE), REFUSED, Fatal("no", kind="bad_key", cause="auth")):
        sent = sending(tmp_path, reply, max_attempts=1)
        disk_space = sent.context.store.disk_space
        disk_space._free = lambda: 10**12
        _generate(sent)
        assert sent.transport.payloads
        assert disk_space._reserved == {}


def test_a_bug_stops_the_run_and_is_raised(tmp_path):
    """The first exception of a shard is raised after all requests ended."""
    sent = sending(tmp_path, lambda: 1 / 0)
    with ThreadPoolExecutor(2) as threads, pytest.raises(ZeroDivisionError):
        generate_shard([predict_request(), predict_request(key="cd" * 32)], sent.context, threads=threads)
    assert (sent.context.stop.fatal.cause, sent.context.stop.fatal.exit_code) == ("bug", 1)


def _full(*_args, **_kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_ledger_that_can_not_record_the_start_stops_the_run(tmp_path, monkeypatch):
    """Nothing is sent."""
    sent = sending(tmp_path, images(IMAGE))
    monkeypatch.setattr(sent.context.ledger, "record_sent", _full)
    assert _generate(sent) == []
    assert sent.context.stop.fatal.cause == "disk"
    assert sent.transport.payloads == []


def test_a_result_that_does_not_fit_the_disk_is_recorded_with_the_ballast(tmp_path, monkeypatch):
    """The run stops, and the paid image is not lost."""
    sent = sending(tmp_path, images(IMAGE))
    append, calls, released = sent.context.ledger._log.append, [], []

    def full_once(data):
        calls.append(data)
        if len(calls) == 2:
            _full()
        append(data)

    monkeypatch.setattr(sent.context.ledger._log, "append", full_once)
    monkeypatch.setattr(sent.context.store.disk_space, "release_ballast", lambda: released.append(True))
    (sample,) = _generate(sent)
    assert sent.context.stop.fatal.cause == "disk"
    assert released == [True]
    assert sent.history.details(predict_request().base, 1)[0] == sample


def test_an_image_that_could_not_get_its_name_stops_the_run(tmp_path, monkeypatch):
    """It is recorded under its staged name."""
    sent = sending(tmp_path, images(IMAGE))
    put = sent.context.store.save
    trouble = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(sent.context.store, "save", lambda *args, **named: (put(*args, **named)[0], trouble))
    assert [sample.status for sample in _generate(sent)] == ["ok"]
    assert sent.context.stop.fatal.cause == "disk"


def _predictions(*items):
    return RawReply(200, {}, orjson.dumps({"predictions": list(items)}))


def test_samples_without_an_image_have_a_reason(tmp_path):
    """Imagen leaves filtered images out; the images that came carry the cost."""
    sent = sending(tmp_path, images(IMAGE))
    results = _generate(sent, 3)
    assert sorted(sample.status for sample in results) == ["filtered", "filtered", "ok"]
    assert [sample.number for sample in results] == [1, 2, 3]
    assert [sample.cost_usd for sample in results if sample.status != "ok"] == [0.0, 0.0]


def test_an_image_of_another_type_than_stated_is_ok_with_a_note(tmp_path):
    """The bytes decide the type and the extension."""
    sent = sending(tmp_path, images(IMAGE))
    (plain,) = _generate(sent)
    assert (plain.error, plain.error_kind, plain.mime_type) == (None, None, "image/png")
    body = images(IMAGE).body.replace(b"image/png", b"image/jpeg")
    sent = sending(tmp_path, RawReply(200, {}, body))
    (sample,) = _generate(sent)
    assert (sample.status, sample.error_kind, sample.mime_type) == ("ok", "mime_mismatch", "image/png")
    assert sample.error == "the service said image/jpeg"
