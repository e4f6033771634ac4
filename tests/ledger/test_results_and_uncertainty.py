"""A sample counts as unknown until a result or a refusal settles its attempts."""

import pytest

from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.records import SampleResult
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace

PAIR = request(1, samples=2, names=("images/a", "images/b"), price=0.08)
LOST = {"kind": "timeout", "status": None, "charged": "maybe"}
REFUSED = {"kind": "http_503", "status": 503, "charged": "no"}
FAILED = SampleResult(1, "failed", error="no")


@pytest.fixture(name="writer")
def _writer(tmp_path):
    storage = Folder(tmp_path)
    storage.put("images/a.png", b"")
    writer = LedgerWriter(storage, now=1.0)
    yield writer
    writer.close()


@pytest.fixture(name="read")
def _read(tmp_path, writer):
    def read():
        writer.flush()
        return read_history(tmp_path / LEDGER)

    return read


def test_a_result_ends_the_uncertainty_of_its_samples(writer, read):
    """The lost attempt was for two samples; the second has no result yet."""
    writer.record_sent(PAIR, attempt=1, at=1.0)
    writer.record_ended(PAIR, attempt=1, at=2.0, facts=LOST)
    writer.record_result(PAIR, (FAILED,), trace(PAIR.key, attempts=2))
    history = read()
    assert [history.status(PAIR.base, number) for number in (1, 2)] == ["failed", "unknown"]
    assert [history.is_unresolved(PAIR.base, number) for number in (1, 2)] == [False, True]
    assert history.has_unresolved
    writer.record_result(PAIR, (ok(2),), trace(PAIR.key, attempts=3))
    assert not read().has_unresolved


def test_a_failure_becomes_unknown_when_it_is_sent_again(writer, read):
    """Its failure is then no final result. An image stays an image."""
    writer.record_result(PAIR, (FAILED, ok(2)), trace(PAIR.key))
    history = read()
    assert history.final_result(PAIR.base, 1) == (FAILED, trace(PAIR.key))
    writer.record_sent(PAIR, attempt=2, at=20.0)
    history = read()
    assert [history.status(PAIR.base, number) for number in (1, 2)] == ["unknown", "ok"]
    assert history.final_result(PAIR.base, 1) is None
    assert history.final_result(PAIR.base, 2) == (ok(2), trace(PAIR.key))
    assert history.final_result(PAIR.base, 3) is None
    assert history.details(PAIR.base, 1) == (FAILED, trace(PAIR.key))
    assert history.images_made() == 1


def test_a_refused_attempt_leaves_the_uncertainty_of_an_earlier_one(writer, read):
    """It ends only its own."""
    for attempt, facts in ((1, LOST), (2, REFUSED), (3, LOST), (4, REFUSED)):
        writer.record_sent(PAIR, attempt=attempt, at=float(attempt))
        writer.record_ended(PAIR, attempt=attempt, at=attempt + 0.5, facts=facts)
        assert read().status(PAIR.base, 2) == "unknown"
    writer.record_result(PAIR, (FAILED, SampleResult(2, "failed")), trace(PAIR.key, attempts=5))
    assert read().status(PAIR.base, 2) == "failed"


def test_a_failure_is_the_latest_until_the_next_attempt_starts(writer, read):
    """It has the facts of its attempt and of its end."""
    writer.record_sent(PAIR, attempt=3, at=5.0)
    writer.record_ended(PAIR, attempt=3, at=7.0, facts=REFUSED | {"error": "busy"})
    failed = read().last_failed(PAIR.base, 2)
    assert failed is not None
    assert (failed.key, failed.attempt, failed.sent_at, failed.at) == (PAIR.key, 3, 5.0, 7.0)
    assert (failed.kind, failed.http_status, failed.error) == ("http_503", 503, "busy")
    assert read().last_failed(PAIR.base, 3) is None
    writer.record_sent(PAIR, attempt=4, at=8.0)
    assert read().last_failed(PAIR.base, 2) is None


def test_the_number_of_images_counts_samples_and_not_records(writer, read):
    """A sample that was generated twice has one image, and both were paid for."""
    for attempt in (1, 2):
        writer.record_result(PAIR, (ok(1), SampleResult(2, "filtered")), trace(PAIR.key, attempts=attempt))
    history = read()
    assert (history.images_made(), history.images_recorded) == (1, 2)
    assert history.cost(PAIR.base, 1) == pytest.approx(0.08)
    assert history.cost(PAIR.base, 2) == pytest.approx(0.0)
