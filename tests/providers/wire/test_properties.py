"""Properties that hold for any bytes that a service or a proxy may send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.errors import Fatal, Transient
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.records import NoImage, ReceivedImage, Reply

REPLIES = Path(__file__).parent / "replies"


def walk(value: Any) -> Iterator[Any]:
    """Yield a JSON value and all values in it."""
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from walk(child)


# Nonsense is most dangerous in the service's own vocabulary.
RECORDED = [json.loads(path.read_text("utf-8")).get("body") for path in REPLIES.rglob("*.json")]
NAMES = st.sampled_from(sorted({name for value in walk(RECORDED) if isinstance(value, dict) for name in value}))
WORDS = st.text(max_size=12) | st.sampled_from(sorted({value for value in walk(RECORDED) if isinstance(value, str)}))
IMAGES = st.sampled_from(["YQ==", "YWI=", "", "*", "é"])

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), WORDS, IMAGES)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)
ITEMS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"bytesBase64Encoded": IMAGES}),
        st.fixed_dictionaries({"raiFilteredReason": WORDS}),
        JSON,
    ),
    max_size=6,
)
PREDICTIONS = st.fixed_dictionaries({"predictions": ITEMS})
PARTS = st.lists(
    st.fixed_dictionaries(
        {}, optional={"text": WORDS, "inlineData": st.fixed_dictionaries({"data": IMAGES}), "thought": JSON}
    ),
    max_size=4,
)
CANDIDATES = st.fixed_dictionaries(
    {
        "candidates": st.lists(
            st.fixed_dictionaries({"content": st.fixed_dictionaries({"parts": PARTS}), "finishReason": JSON}),
            min_size=1,
            max_size=2,
        )
    }
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.one_of(JSON, PREDICTIONS, CANDIDATES).map(lambda value: json.dumps(value).encode()),
)
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "retry-after", "Location", "Date"]),
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            ["1e9", "9" * 400, "Sun, 22 Nov 2026 20:01:30 GMT", "Mon, 1 Jan 99999 0:0:0 +9999", "http://["]
        ),
        st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S -0000")),
    ),
)


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(deadline=None)
@given(body=BODIES, requested=st.integers(1, 4))
def test_any_answer_becomes_the_requested_number_of_samples_or_a_decision(
    dialect: str, body: bytes, requested: int
) -> None:
    """Any other exception would end the run."""
    try:
        reply = DIALECTS[dialect].decode(body, requested=requested)
    except (Transient, Fatal):
        return
    check(reply, requested=requested)


@settings(deadline=None)
@given(
    status=st.integers(0, 999) | st.sampled_from([400, 429]),
    headers=HEADERS,
    body=BODIES,
    requested=st.integers(1, 4),
)
def test_any_error_becomes_the_requested_number_of_samples_or_a_decision(
    status: int, headers: dict[str, str], body: bytes, requested: int
) -> None:
    """The row has failed, or the run decides; a hint to wait is never negative, infinite or NaN."""
    try:
        check(read_error(status, headers, body, requested=requested), requested=requested)
    except Transient as error:
        check_wait(error)
    except Fatal as error:
        check_stop(error)


@settings(deadline=None)
@given(items=st.lists(st.sampled_from(["YQ==", "YWI=", None]), max_size=6), requested=st.integers(1, 4))
def test_no_image_gives_way_to_a_refusal(items: list[str | None], requested: int) -> None:
    """As many images as were requested are stored, in order, regardless of what is between them."""
    answer: list[dict[str, Any]] = [
        {"bytesBase64Encoded": item} if item else {"raiFilteredReason": "Support codes: 1"} for item in items
    ]
    reply = DIALECTS["predict"].decode(json.dumps({"predictions": answer}).encode(), requested=requested)
    images = [sample.data for sample in reply.samples if isinstance(sample, ReceivedImage)]
    assert images == [{"YQ==": b"a", "YWI=": b"ab"}[item] for item in items if item][:requested]


def check(reply: Reply, *, requested: int) -> None:
    assert len(reply.samples) == requested
    for sample in reply.samples:
        if isinstance(sample, NoImage):
            assert (sample.kind.startswith("filtered_")) == (sample.outcome == "filtered")
            assert sample.reason
        else:
            assert sample.data


def check_wait(error: Transient) -> None:
    assert error.retry_after is None or 0 <= error.retry_after <= 7 * 24 * 3600


def check_stop(error: Fatal) -> None:
    assert error.exit_code == (75 if error.cause == "quota_day" else 2)
    assert error.cause in {"auth", "address", "billing", "model_gone", "quota_day"}
