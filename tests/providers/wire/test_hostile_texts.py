"""Replies are read in time linear in their length."""

import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import orjson
import pytest

from imagen_batch.errors import AttemptError
from imagen_batch.providers.redaction import redact
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.providers.wire.lenient_json import shorten
from imagen_batch.providers.wire.quota import _is_spend_window, read_quota_error
from imagen_batch.providers.wire.retry_after import wait_hint
from imagen_batch.providers.wire.service_error import ServiceError, parse_service_error
from imagen_batch.providers.wire.support_codes import is_code_list, support_codes
from imagen_batch.reports.causes import fold_message
from imagen_batch.sending.attempts.send_with_retries import RetryingRequest
from tests.support.factories import request

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SIZE = 240_000
LONGEST_S = 1.0  # on a busy machine; each took milliseconds, and the patterns of before took minutes
REPEATS = [
    "usage ",
    "usage ten",
    "spen",
    "To monitor",
    "To monitor ",
    "For more information",
    "For more information: ",
    "To monitor: https://",
    "http://",
    "https",
    "limit: 0",
    "limit: 0.",
    "limit '",
    "metric: ",
    "metric '",
    "limit",
    "retry in ",
    "retry in 1",
    "1",
    "1.",
    "1h",
    "1.1ms",
    "support codes:",
    "support code(s): ",
    "support codes: 1, ",
    "1, ",
    ", ",
    " ",
    "\n",
    "\t1",
    "<title",
    "<title ",
    "<title>",
    "<",
    "\u0130",
    "a-f0",
    "0-",
]


def error_body(message):
    """Return an error in Google's form."""
    return orjson.dumps({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}})


def seconds(work, *args, **named):
    """Return the seconds of a call; the error of an attempt is a valid result."""
    began = time.perf_counter()
    with suppress(AttemptError):
        work(*args, **named)
    return time.perf_counter() - began


def repeated(unit):
    """Return a repeated text with something else at the end, so that a pattern might backtrack."""
    return unit * (SIZE // len(unit)) + "!"


@pytest.mark.parametrize("unit", REPEATS, ids=repr)
@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_a_message_that_repeats_itself_is_read_at_once(unit, status):
    """It is read as JSON, as bare text and as a page."""
    text = repeated(unit)
    for body in (error_body(text), text.encode(), b"<html>" + text.encode()):
        assert seconds(read_error, status, {}, body, requested=1) < LONGEST_S


@pytest.mark.parametrize("unit", REPEATS, ids=repr)
def test_every_pattern_is_linear(unit):
    """Each pattern is run on the whole text: it must not depend on the limit of what is read."""
    text = repeated(unit)
    error = ServiceError(message=text)
    for work in (lambda: error.plain, lambda: error.words, lambda: shorten(text)):
        assert seconds(work) < LONGEST_S
    for work in (support_codes, is_code_list, lambda _: wait_hint({"Retry-After": text}, error, now=NOW)):
        assert seconds(work, text) < LONGEST_S
    assert seconds(lambda: fold_message(text[:500])) < LONGEST_S
    assert seconds(read_quota_error, error, wait=None, now=NOW) < LONGEST_S


def test_a_key_is_searched_in_linear_time():
    """The key may be one repeated letter, among texts that nearly equal it."""
    for key in ("A" * 39, "AIzaSy-not/a+real_key-0123456789", "x"):
        for unit in (*REPEATS, "\\", "\\u0041", "%41", "&#65;", "A", key[:-1] + "/"):
            assert seconds(redact, repeated(unit)[:40_000], key) < LONGEST_S


def test_mixtures_are_linear_too():
    """Two repeated texts follow each other or alternate."""
    dice = random.Random(5)
    for _ in range(60):
        one, two = dice.sample(REPEATS, 2)
        text = (one + two) * (SIZE // len(one + two)) if dice.random() < 0.5 else repeated(one) + repeated(two)
        assert seconds(read_error, 429, {}, error_body(text), requested=1) < LONGEST_S


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@pytest.mark.parametrize(
    "field",
    [
        lambda text: {"candidates": [{"finishReason": "OTHER", "finishMessage": text}]},
        lambda text: {"candidates": [{"content": {"parts": [{"text": text}] * 20}}]},
        lambda text: {"promptFeedback": {"blockReason": text, "blockReasonMessage": text}},
        lambda text: {"predictions": [{"raiFilteredReason": text}, text, {"mimeType": text}]},
        lambda text: {"error": {"message": text, "details": [{"@type": text, "links": [{"url": text}]}]}},
        lambda text: {text: text},
    ],
)
def test_a_reply_whose_words_repeat_is_read_at_once(dialect, field):
    """The text may be in every field that can contain one."""
    for unit in REPEATS:
        assert seconds(DIALECTS[dialect].decode, orjson.dumps(field(repeated(unit))), requested=1) < LONGEST_S


DEEP = b"[" * 900 + b"]" * 900


@pytest.mark.parametrize("status", [200, 400, 429, 503])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"error":' * 100_000,
        b'{"error": {"message": "x", "details": [{"@type": %s, "reason": "x"}]}}' % DEEP,
        b'{"error": {"details": [{"violations": [{"quotaId": %s, "quotaMetric": %s, "quotaValue": %s}]}]}}'
        % (DEEP, DEEP, DEEP),
        b'{"error": {"message": %s, "code": %s, "status": %s}}' % (DEEP, DEEP, DEEP),
        b'{"candidates": [{"finishReason": %s, "safetyRatings": %s}]}' % (DEEP, DEEP),
        b'{"predictions": [{"safetyAttributes": %s, "raiFilteredReason": %s}]}' % (DEEP, DEEP),
        b'{"error": {"code": ' + b"9" * 100_000 + b"}}",
        b'{"error": {"code": 1e999}}',
        b'{"error": {"message": "x"}, "a": [' + b"{}," * 2_000_000 + b"{}]}",
        b'{"usageMetadata": {"candidatesTokenCount": ' + b"9" * 5000 + b"}}",
    ],
    ids=range(11),
)
def test_a_nested_or_huge_reply_is_read_like_any_other(status, body):
    """It causes no RecursionError, no overflow and no minute of parsing."""

    def read():
        if status == 200:
            for dialect in DIALECTS.values():
                try:
                    dialect.decode(body, requested=1)
                except AttemptError:
                    continue
        else:
            read_error(status, {}, body, requested=1)

    assert seconds(read) < LONGEST_S


@pytest.mark.parametrize(
    "value",
    [
        "9" * 400,
        "9" * 60_000,
        "0." + "1" * 60_000,
        "1e999",
        "inf",
        "nan",
        "-1",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Fri, 31 Dec 9999 23:59:59 +2359",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Fri, 31 Dec 99999999999 23:59:59 GMT",
        "Fri, 31 Dec 2026 23:59:59 +" + "9" * 400,
        "\u0663",
        "",
    ],
)
def test_any_wait_is_a_bounded_number_or_none(value):
    """It may be in a header, in RetryInfo or in the message."""
    for headers, error in (
        ({"Retry-After": value}, ServiceError()),
        ({}, ServiceError(retry_delay=value + "s")),
        ({}, ServiceError(message=f"Please retry in {value}s.")),
    ):
        wait = wait_hint(headers, error, now=NOW)
        assert wait is None or 0 <= wait <= 7 * 24 * 3600


def test_a_delay_of_hundreds_of_digits_is_read_like_a_long_one():
    """It causes no overflow."""
    body = orjson.dumps(
        {
            "error": {
                "code": 429,
                "message": "quota",
                "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "9" * 700 + "s"}],
            }
        }
    )
    with pytest.raises(AttemptError) as caught:
        read_error(429, {}, body, requested=1)
    assert caught.value.kind == "quota_day"
    assert parse_service_error(body).retry_delay.endswith("9s")


def test_the_sentences_that_decide_are_still_found():
    """The bounded patterns match the sentences of Google."""
    spending = ServiceError(message="Your usage within the last 10 minutes is over the limit.")
    assert _is_spend_window(spending)
    assert not _is_spend_window(ServiceError(message="10 minutes ago your usage was low"))
    pointed = ServiceError(
        message="Too much. For more information on this error, head to: https://x.test/a. To monitor your usage: "
        "https://y.test/b Please retry."
    )
    assert pointed.words == "Too much. Please retry."


def test_the_thousandth_attempt_waits_like_the_tenth():
    """Doubling ends before a float overflows."""
    settings = SimpleNamespace(wait_initial=1.0, wait_max=60.0)
    context = SimpleNamespace(settings=settings, rng=lambda: 0.5, previous_attempts=lambda _request: 0, run_id="")
    attempts = RetryingRequest(request(), context)
    for number in (1, 10, 1025, 10**9):
        state = SimpleNamespace(outcome=None, attempt_number=number)
        assert 0 <= attempts._wait(state) <= 60
