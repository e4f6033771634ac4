"""A request is sent again where that may help, and never more often than it may cost."""

import pytest

from imagen_batch.errors import Fatal, Interrupted, RateLimited, Transient
from imagen_batch.providers.transport import RawReply
from imagen_batch.sending.attempts.attempt_resources import OverBudget
from imagen_batch.sending.attempts.send_with_retries import RetryingRequest
from tests.support.scripted_service import gemini_reply
from tests.support.sending import (
    HALF_IMAGE,
    IMAGE,
    OTHER_IMAGE,
    PRICE,
    error,
    images,
    predict_request,
    sending,
)

LOST = Transient("timed out", kind="timeout", maybe_charged=True, lost=True)
REFUSED = Transient("overloaded", kind="overloaded", http_status=503)


def _retrying(sent, samples=1, **changes):
    return RetryingRequest(predict_request(samples, **changes), sent.context)


def test_an_answer_has_its_images_and_its_price(tmp_path):
    """One attempt is made, at the list price."""
    sent = sending(tmp_path, images(IMAGE, OTHER_IMAGE))
    retrying = _retrying(sent, 2)
    answer = retrying.run()
    assert [(image.number, image.received.data) for image in answer.images] == [(1, IMAGE), (2, OTHER_IMAGE)]
    assert (answer.usd, answer.cost_is, answer.missing, answer.damaged) == (2 * PRICE, "estimate", (), ())
    trace = retrying.trace
    assert (trace.attempts, trace.http_status, trace.sent_at) == (1, 200, 1.0)
    assert trace.finished_at > trace.sent_at
    assert trace.latency_s == trace.finished_at - 0.0


def test_a_temporary_failure_is_sent_again(tmp_path):
    """The trace has the number of attempts and the time of the first one."""
    sent = sending(tmp_path, error(503), REFUSED, images(IMAGE))
    retrying = _retrying(sent)
    assert len(retrying.run().images) == 1
    assert (retrying.trace.attempts, retrying.trace.sent_at) == (3, 1.0)
    assert sent.slept == [1.0, 2.0]


def test_the_count_of_attempts_continues_that_of_earlier_runs(tmp_path):
    """The ledger must not have two attempts of the same number."""
    sent = sending(tmp_path, images(IMAGE))
    object.__setattr__(sent.context, "previous_attempts", lambda _request: 4)
    retrying = _retrying(sent)
    retrying.run()
    assert retrying.trace.attempts == 5
    assert sent.records[0]["attempt"] == 5


@pytest.mark.parametrize(("max_attempts", "sent_count"), [(1, 1), (3, 3)])
def test_attempts_are_used_up(tmp_path, max_attempts, sent_count):
    """The last error is raised."""
    sent = sending(tmp_path, REFUSED, max_attempts=max_attempts)
    with pytest.raises(Transient, match="overloaded"):
        _retrying(sent).run()
    assert len(sent.transport.payloads) == sent_count


def test_a_rate_limit_counts_a_quarter(tmp_path):
    """A 429 is about the account: two attempts are eight refusals."""
    sent = sending(tmp_path, RateLimited("slow", kind="quota_minute", retry_after=0.0), max_attempts=2)
    with pytest.raises(RateLimited):
        _retrying(sent).run()
    assert len(sent.transport.payloads) == 8
    assert sent.slept == [0.0] * 7


@pytest.mark.parametrize(("failure", "counted"), [(REFUSED, 0), (LOST, 1)])
def test_failures_in_an_outage_count_only_if_they_may_have_been_charged(tmp_path, failure, counted):
    """The rows are not to blame for an outage, but money may be lost."""
    sent = sending(tmp_path, failure, images(IMAGE), outage_limit=10_000_000)
    governor = sent.context.governor("imagen")
    governor._clock = lambda: 0.0
    for _ in range(12):
        governor._pace._in_flight += 1
        governor.record_failure(None, REFUSED)
    governor._clock = lambda: 1e5
    governor._pace._held_until = governor._pace._next = 0.0
    retrying = _retrying(sent)
    with pytest.raises(Transient):
        retrying._make_attempt()
    assert retrying._counted == counted


@pytest.mark.parametrize(("hint", "waited"), [(7.0, 7.0), (1e6, 120.0), (None, 1.0)])
def test_the_pause_is_that_of_the_service_up_to_two_minutes(tmp_path, hint, waited):
    """Without a hint it is the first pause of the settings."""
    failure = Transient("overloaded", kind="overloaded", retry_after=hint)
    sent = sending(tmp_path, failure, images(IMAGE))
    _retrying(sent).run()
    assert sent.slept == [waited]


def test_pauses_double_up_to_the_longest(tmp_path):
    """They have a random factor between a half and one and a half."""
    sent = sending(tmp_path, REFUSED, max_attempts=6, wait_initial=1.0, wait_max=5.0)
    with pytest.raises(Transient):
        _retrying(sent).run()
    assert sent.slept == [1.0, 2.0, 4.0, 5.0, 5.0]
    object.__setattr__(sent.context, "rng", lambda: 0.0)
    with pytest.raises(Transient):
        _retrying(sent).run()
    assert sent.slept[5:] == [0.5, 1.0, 2.0, 2.5, 2.5]


@pytest.mark.parametrize("kind", ["timeout", "overloaded"])
def test_with_hold_nothing_that_may_have_been_charged_is_sent_again(tmp_path, kind):
    """A refused attempt is sent again, since it cost nothing."""
    failure = LOST if kind == "timeout" else REFUSED
    sent = sending(tmp_path, failure, max_attempts=3, on_unknown="hold")
    with pytest.raises(Transient):
        _retrying(sent).run()
    assert len(sent.transport.payloads) == (1 if kind == "timeout" else 3)


def test_a_reply_that_is_too_large_is_not_requested_again(tmp_path):
    """The next one would be as large, and cost as much."""
    sent = sending(tmp_path, Transient("too large", kind="reply_too_large", maybe_charged=True))
    with pytest.raises(Transient):
        _retrying(sent).run()
    assert len(sent.transport.payloads) == 1


def test_a_lost_reply_makes_the_cost_uncertain(tmp_path):
    """A refused one does not."""
    for failure, uncertain in ((LOST, True), (REFUSED, False)):
        retrying = _retrying(sending(tmp_path, failure, images(IMAGE)))
        retrying.run()
        assert retrying.uncertain is uncertain


def test_an_unreadable_reply_is_paid_for_twice_at_most(tmp_path):
    """It arrived whole, so the third would be as unreadable."""
    sent = sending(tmp_path, RawReply(200, {}, b'{"predictions": [{'), max_attempts=5)
    retrying = _retrying(sent)
    with pytest.raises(Transient):
        retrying.run()
    assert len(sent.transport.payloads) == 2
    assert retrying.damage_counts["bad_reply"] == 2


def test_an_attempt_that_does_not_fit_the_budget_ends_the_request(tmp_path):
    """The first attempt may have been charged: the second one does not fit."""
    sent = sending(tmp_path, LOST, images(IMAGE), budget={"max_cost": 0.05})
    with pytest.raises(OverBudget):
        _retrying(sent).run()
    assert len(sent.transport.payloads) == 1
    assert sent.context.budget.used == pytest.approx((PRICE, 1))


def test_failed_attempts_give_their_money_back_once(tmp_path):
    """Under a limit of one image, three attempts fit one after the other, and no reservation is left."""
    sent = sending(tmp_path, REFUSED, error(503), images(IMAGE), budget={"max_cost": PRICE, "max_images": 1})
    assert len(_retrying(sent).run().images) == 1
    assert sent.context.budget.used == pytest.approx((PRICE, 1))
    assert sent.context.budget._outstanding == 0
    assert sent.context.budget.reserve(PRICE, 1, stop=sent.context.stop) is None


def test_a_fatal_error_is_passed_to_the_runs_stop(tmp_path):
    """The attempt is closed as not charged."""
    sent = sending(tmp_path, Fatal("the key is invalid", kind="bad_key", cause="auth"), budget={"max_cost": PRICE})
    with pytest.raises(Interrupted):
        _retrying(sent).run()
    assert sent.context.stop.fatal.kind == "bad_key"
    assert [(record["t"], record.get("charged")) for record in sent.records] == [("sent", None), ("back", "no")]
    assert sent.context.budget.used == (0.0, 0)


EXPIRED = Fatal("expired", kind="bad_key", cause="auth", refreshable=True)


def test_an_expired_token_is_renewed_once(tmp_path, monkeypatch):
    """A second refusal is the account's."""
    sent = sending(tmp_path, EXPIRED, images(IMAGE))
    monkeypatch.setattr(sent.context.provider.credential, "refresh", lambda: True)
    assert len(_retrying(sent).run().images) == 1
    sent = sending(tmp_path, EXPIRED, EXPIRED, images(IMAGE))
    monkeypatch.setattr(sent.context.provider.credential, "refresh", lambda: True)
    with pytest.raises(Interrupted):
        _retrying(sent).run()
    assert len(sent.transport.payloads) == 2


def test_a_failing_token_service_is_retried_within_the_attempts(tmp_path, monkeypatch):
    """Its failures count as attempts; its refusal stops the run."""
    sent = sending(tmp_path, EXPIRED, max_attempts=3)

    def fail():
        raise Transient("the token service is down", kind="token_service")

    monkeypatch.setattr(sent.context.provider.credential, "refresh", fail)
    with pytest.raises(Transient, match="token service"):
        _retrying(sent).run()
    assert len(sent.transport.payloads) == 3

    def refuse():
        raise Fatal("the account is closed", kind="closed", cause="auth")

    monkeypatch.setattr(sent.context.provider.credential, "refresh", refuse)
    with pytest.raises(Interrupted):
        _retrying(sent).run()
    assert sent.context.stop.fatal.kind == "closed"


def test_a_key_that_can_not_be_renewed_stops_the_run(tmp_path):
    """An API key has no token to renew."""
    sent = sending(tmp_path, EXPIRED, images(IMAGE))
    with pytest.raises(Interrupted):
        _retrying(sent).run()
    assert len(sent.transport.payloads) == 1


def test_a_damaged_image_alone_is_paid_for_twice_at_most(tmp_path):
    """The ledger has the price of both requests."""
    sent = sending(tmp_path, images(HALF_IMAGE), max_attempts=5)
    answer = _retrying(sent).run()
    assert (answer.images, answer.damaged) == ((), ())
    ((number, missing),) = answer.missing
    assert (number, missing.outcome, missing.kind) == (1, "failed", "transient_exhausted")
    assert "2 attempts" in missing.reason
    assert ".imagen-batch/quarantine/" in missing.reason
    assert [record.get("charged") for record in sent.records] == [None, "yes", None]
    assert sent.context.budget.used == pytest.approx((2 * PRICE, 2))


def test_a_damaged_image_is_not_retried_beyond_the_attempts(tmp_path):
    """With one attempt there is no second request."""
    sent = sending(tmp_path, images(HALF_IMAGE), max_attempts=1)
    assert len(_retrying(sent).run().missing) == 1
    assert len(sent.transport.payloads) == 1


def test_damaged_images_among_good_ones_are_left_to_the_caller(tmp_path):
    """The answer is complete but for them; earlier payments for the same damage count."""
    sent = sending(tmp_path, images(IMAGE, HALF_IMAGE))
    answer = _retrying(sent, 2).run()
    assert [image.number for image in answer.images] == [1]
    assert [damaged.number for damaged in answer.damaged] == [2]
    assert answer.usd == pytest.approx(2 * PRICE)
    sent = sending(tmp_path, images(IMAGE, HALF_IMAGE))
    damages = {answer.damaged[0].kind: 1}
    answer = RetryingRequest(predict_request(2), sent.context, damage_counts=damages).run()
    assert answer.damaged == ()
    assert [number for number, _ in answer.missing] == [2]


def test_a_surplus_image_replaces_a_damaged_one(tmp_path):
    """It was paid for as well; others are quarantined."""
    sent = sending(tmp_path, images(HALF_IMAGE, IMAGE, OTHER_IMAGE))
    (image,) = _retrying(sent).run().images
    assert image.received.data in (IMAGE, OTHER_IMAGE)
    assert len(list((tmp_path / ".imagen-batch" / "quarantine").iterdir())) == 2


def test_requests_to_the_simulator_name_their_sample(tmp_path):
    """No other service gets the header."""
    sent = sending(tmp_path, images(IMAGE))
    _retrying(sent).run()
    assert sent.transport.payloads[0]["headers"] is None
    assert sent.transport.payloads[0]["url"] == "http://service.test/imagen:predict"
    sent.context.provider.name = "simulator"
    _retrying(sent, first=3).run()
    assert sent.transport.payloads[1]["headers"] == {"x-imagen-batch-sample": "3"}


@pytest.mark.parametrize("status", [300, 301, 307, 399])
def test_a_redirect_stops_the_run(tmp_path, status):
    """The key must not go to another address; 300 is a redirect as well."""
    reply = RawReply(status, {"location": "https://elsewhere.test/x"}, b"")
    sent = sending(tmp_path, reply, images(IMAGE))
    with pytest.raises(Interrupted):
        _retrying(sent).run()
    assert (sent.context.stop.fatal.kind, sent.context.stop.fatal.http_status) == ("redirect", status)
    assert len(sent.transport.payloads) == 1


EMPTY = RawReply(200, {}, b'{"candidates": [{"finishReason": "NO_IMAGE"}], "usageMetadata": {"promptTokenCount": 9}}')
GEMINI = {"dialect": "generate_content"}


def test_an_answer_without_an_image_is_requested_again(tmp_path):
    """It is closed in the ledger at its price, and no image counts against the limit."""
    sent = sending(tmp_path, EMPTY, RawReply(200, {}, gemini_reply(IMAGE)))
    retrying = _retrying(sent, **GEMINI)
    assert len(retrying.run().images) == 1
    assert retrying.trace.attempts == 2
    end = sent.records[1]
    assert (end["t"], end["kind"], end["status"], end["charged"]) == ("back", "no_image", 200, "no")
    assert sent.context.budget.used[1] == 1


def test_an_answer_without_an_image_is_final_after_a_few_more(tmp_path):
    """It is repeated as often as its finish reason suggests, and not beyond the attempts."""
    for max_attempts, sent_count in ((1, 1), (2, 2), (9, None)):
        sent = sending(tmp_path / str(max_attempts), EMPTY, max_attempts=max_attempts)
        answer = _retrying(sent, **GEMINI).run()
        ((_, missing),) = answer.missing
        expected = sent_count or missing.again + 1
        assert len(sent.transport.payloads) == expected
        assert sent.context.budget._outstanding == 0
