"""An attempt reserves money, a permit and a ledger entry, and gives each back exactly once."""

import errno

import pytest

from imagen_batch.errors import Fatal, Interrupted, RateLimited, Transient, storage_failure
from imagen_batch.sending.attempts.attempt_resources import OverBudget, begin_attempt
from imagen_batch.sending.governor import FailureCause
from tests.support.sending import PRICE, images, predict_request, sending

FAILED = Transient("overloaded", kind="overloaded", http_status=503)
LOST = Transient("timed out", kind="timeout", maybe_charged=True, lost=True)

ENDINGS = {
    "complete": (lambda attempt: attempt.complete(usd=0.03, images=1), (0.03, 1), None),
    "complete without a price": (lambda attempt: attempt.complete(usd=None, images=1), (PRICE, 1), None),
    "without an image": (lambda attempt: attempt.close_without_image(FAILED, usd=0.01), (0.01, 0), ("no", 0.01)),
    "unusable": (lambda attempt: attempt.close_unusable(FAILED, usd=0.03, recorded=False), (0.03, 1), ("yes", 0.03)),
    "unusable and recorded": (
        lambda attempt: attempt.close_unusable(FAILED, usd=0.03, recorded=True),
        (0.03, 1),
        None,
    ),
    "unusable without a price": (
        lambda attempt: attempt.close_unusable(FAILED, usd=None, recorded=False),
        (PRICE, 1),
        ("maybe", None),
    ),
    "refused": (lambda attempt: attempt.refuse(Fatal("no", kind="bad_key", cause="auth")), (0.0, 0), ("no", None)),
    "failed": (lambda attempt: attempt.fail(FAILED), (0.0, 0), ("no", None)),
    "lost": (lambda attempt: attempt.fail(LOST), (PRICE, 1), ("maybe", None)),
    "left open": (lambda attempt: attempt.leave_open(), (PRICE, 1), None),
}


def _is_idle(sent):
    """Return whether no attempt holds a permit, money or images in flight."""
    pace = sent.context.governor("imagen")._pace
    return pace._in_flight == 0 and sent.context.budget._outstanding == 0 and sent.context.in_flight.images == 0


@pytest.mark.parametrize("name", ENDINGS)
def test_each_ending_settles_money_permit_and_ledger_once(tmp_path, name):
    """The budget holds what may have been charged; the ledger has an end unless the caller records a result."""
    end, used, record = ENDINGS[name]
    sent = sending(tmp_path, images())
    with begin_attempt(predict_request(), sent.context, number=3) as attempt:
        assert sent.context.budget.used == (PRICE, 1)
        assert sent.context.in_flight.images == 1
        end(attempt)
        assert attempt.is_closed
    assert sent.context.budget.used == pytest.approx(used)
    assert _is_idle(sent)
    first, *later = sent.records
    assert (first["t"], first["attempt"], first["provider"], first["at"]) == ("sent", 3, "gemini", 0.0)
    assert [(record["t"], record["attempt"], record["charged"], record["usd"]) for record in later] == (
        [("back", 3, *record)] if record else []
    )


def test_an_attempt_that_an_exception_ends_stays_open(tmp_path):
    """Its outcome is unknown: the money stays reserved, the permit comes back."""
    sent = sending(tmp_path, images())
    with pytest.raises(ZeroDivisionError), begin_attempt(predict_request(), sent.context, number=1):
        raise ZeroDivisionError
    assert sent.context.budget.used == (PRICE, 1)
    assert _is_idle(sent)
    assert [record["t"] for record in sent.records] == ["sent"]


def test_the_end_of_an_attempt_has_its_facts(tmp_path):
    """The manifest shows them where no later attempt is made; long messages are shortened."""
    sent = sending(tmp_path, images())
    with begin_attempt(predict_request(), sent.context, number=1) as attempt:
        attempt.fail(Transient("x" * 1000, kind="overloaded", http_status=503))
    end = sent.records[1]
    assert (end["kind"], end["status"], end["error"], end["at"]) == ("overloaded", 503, "x" * 300, 1.0)


def test_an_attempt_over_the_budget_does_not_begin(tmp_path):
    """Nothing is recorded, and nothing is held."""
    sent = sending(tmp_path, images(), budget={"max_cost": 0.01})
    with pytest.raises(OverBudget), begin_attempt(predict_request(), sent.context, number=1):
        pytest.fail("the attempt began")
    assert sent.records == []
    assert _is_idle(sent)


def test_a_stop_while_waiting_for_a_permit_releases_the_money(tmp_path):
    """Other threads that wait for money must not wait forever."""
    sent = sending(tmp_path, images())
    sent.context.stop.interrupt(2)
    with pytest.raises(Interrupted), begin_attempt(predict_request(), sent.context, number=1):
        pytest.fail("the attempt began")
    assert sent.context.budget.used == (0.0, 0)
    assert sent.context.budget._outstanding == 0


def test_an_attempt_that_can_not_be_recorded_is_not_sent(tmp_path, monkeypatch):
    """Money and permit come back."""
    sent = sending(tmp_path, images())

    def refuse(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sent.context.ledger, "record_sent", refuse)
    with pytest.raises(OSError, match="No space"), begin_attempt(predict_request(), sent.context, number=1):
        pytest.fail("the attempt began")
    assert sent.context.budget.used == (0.0, 0)
    assert _is_idle(sent)


def test_a_full_disk_stops_the_run_before_money_is_reserved(tmp_path, monkeypatch):
    """The reason is the disk."""
    sent = sending(tmp_path, images())

    def full(*_args, **_kwargs):
        raise storage_failure("full")

    monkeypatch.setattr(sent.context.store.disk_space, "reserve", full)
    with pytest.raises(Interrupted), begin_attempt(predict_request(), sent.context, number=1):
        pytest.fail("the attempt began")
    assert sent.context.stop.fatal.cause == "disk"
    assert sent.context.budget.used == (0.0, 0)


def _outage(sent):
    """Record failures until the next one is one too many."""
    governor = sent.context.governor("imagen")
    governor._clock = lambda: 0.0
    for _ in range(12):
        governor._pace._in_flight += 1
        governor.record_failure(None, FAILED)
    governor._clock = lambda: 1e6


@pytest.mark.parametrize("recorded", [True, False])
def test_unusable_images_in_an_outage_stop_the_run(tmp_path, recorded):
    """A result that the caller records is not lost to the stop."""
    sent = sending(tmp_path, images())
    _outage(sent)
    with begin_attempt(predict_request(), sent.context, number=1) as attempt:
        if recorded:
            attempt.close_unusable(FAILED, usd=0.03, recorded=True)
        else:
            with pytest.raises(Interrupted):
                attempt.close_unusable(FAILED, usd=0.03, recorded=False)
    assert sent.context.stop.fatal.cause == "outage"
    assert sent.context.budget.used == pytest.approx((0.03, 1))


def test_a_failure_in_an_outage_stops_the_run_after_it_is_settled(tmp_path):
    """The ledger has the end of the attempt."""
    sent = sending(tmp_path, images())
    _outage(sent)
    with begin_attempt(predict_request(), sent.context, number=1) as attempt, pytest.raises(Interrupted):
        attempt.fail(FAILED)
    assert sent.context.stop.fatal.cause == "outage"
    assert [record["t"] for record in sent.records] == ["sent", "back"]


def test_a_failure_names_its_cause(tmp_path):
    """A single failure is blamed on the request."""
    sent = sending(tmp_path, images())
    with begin_attempt(predict_request(), sent.context, number=1) as attempt:
        assert attempt.fail(RateLimited("slow down", kind="quota_minute")) is FailureCause.REQUEST
