"""Every complete form of base64 gives exactly the bytes of its image; an incomplete one gives none."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.providers.wire import DIALECTS
from imagen_batch.providers.wire.decode_image import image_bytes
from imagen_batch.providers.wire.lenient_json import drop_unspecified, enum_name, has_error, parse_object

BYTES = st.binary(min_size=1, max_size=300)


@st.composite
def written(draw: Any) -> tuple[bytes, str]:
    """Some bytes, and a text that encodes them in any mixture of forms."""
    pieces = draw(st.lists(BYTES, min_size=1, max_size=3))
    text = "".join(base64.b64encode(piece).decode() for piece in pieces)
    if len(pieces) > 1 and any(len(piece) % 3 == 0 for piece in pieces[:-1]):
        text = base64.b64encode(b"".join(pieces)).decode()
    if draw(st.booleans()):
        text = text.replace("+", "-").replace("/", "_")
    if draw(st.booleans()):
        text = text.rstrip("=")
    if draw(st.booleans()):
        width = draw(st.integers(1, 80))
        text = draw(st.sampled_from(["\n", "\r\n", " ", "\t"])).join(
            text[at : at + width] for at in range(0, len(text), width)
        )
    prefix = draw(st.sampled_from(["", "", "data:image/png;base64,", "data:;base64,", "DATA:image/x;a=b;base64,"]))
    return b"".join(pieces), draw(st.sampled_from(["", "\n", " \0"])) + prefix + text


@settings(deadline=None)
@given(written())
def test_every_form_that_holds_all_bytes_gives_them(case: tuple[bytes, str]) -> None:
    """There are padded pieces, both alphabets, line breaks, no padding, data URLs, and any mixture of these."""
    data, text = case
    assert image_bytes(text) == data
    assert image_bytes(memoryview(text.encode())) == data


@settings(deadline=None)
@given(BYTES)
def test_bytes_as_numbers_and_texts_in_a_list_are_read(data: bytes) -> None:
    """Some servers write them without base64, or send it in parts."""
    assert image_bytes(list(data)) == data
    assert image_bytes({"type": "Buffer", "data": list(data)}) == data
    text = base64.b64encode(data).decode()
    assert image_bytes([text[:5], text[5:]]) == data


@pytest.mark.parametrize(
    "damaged",
    [
        *("", " ", "=", "a", "YWJj*", "YWJjZ", "é", "YWJj\ufffd", "data:image/png;base64,"),
        *([], [1, 256], [True], ["a", 1], {}, 5, None, {"data": [1]}),
    ],
)
def test_incomplete_base64_gives_no_bytes(damaged: object) -> None:
    """It has a character outside base64, half of a group, or no text."""
    assert image_bytes(damaged) is None


REPLY = st.fixed_dictionaries({"predictions": st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=9)))})


@settings(deadline=None)
@given(
    value=REPLY,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]),
    before=st.text(" \t\r\n", max_size=3),
    after=st.text(" \t\r\n\0", max_size=5),
    wrapped=st.integers(0, 2),
)
def test_valid_json_is_read_in_any_encoding_and_wrapper(
    value: dict[str, Any], encoding: str, before: str, after: str, wrapped: int
) -> None:
    """There are byte-order marks, UTF-16 and UTF-32, blanks, NULs, and arrays around it."""
    if encoding.startswith(("utf-16", "utf-32")):
        before = before[:0]
    text = before + "[" * wrapped + json.dumps(value) + "]" * wrapped + after
    assert parse_object(text.encode(encoding)) == value


@pytest.mark.parametrize(
    "body", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\0" * 9, b"[]", b"[[]]", b"[1]", b"{", b"{}x", b"5"]
)
def test_other_json_is_no_answer(body: bytes) -> None:
    """It is no object, or an empty one with something behind it."""
    assert parse_object(body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b",".join([b'{"candidates":[1]}'] * 100_000) + b"]",
        b"data: {}\n" * 100_000,
        b'{"a":"' + b"\xff" * 3_000_000 + b'"}',
        b"\0" * 3_000_000 + b"{",
        b'{"data":"' + b"YQ==" * 500_000 + b'"}x',
    ],
    ids=["many objects", "many events", "invalid bytes", "NULs", "many pieces"],
)
def test_time_is_linear_in_the_length_of_a_body(body: bytes) -> None:
    """Megabytes of the oddest input take a moment."""
    began = time.process_time()
    parsed = parse_object(body)
    image_bytes((parsed or {}).get("data"))
    assert time.process_time() - began < 3


def test_an_extremely_nested_body_is_no_answer() -> None:
    """It raises nothing."""
    for body in (b"[" * 200_000, b'{"a":' * 200_000, b"\xef\xbb\xbf" + b'{"a":[' * 100_000):
        assert parse_object(body) is None


@pytest.mark.parametrize(
    "silent",
    [
        None,
        "",
        " ",
        0,
        "0",
        "X_UNSPECIFIED",
        "block_reason_unspecified",
        "Finish_Reason_Unspecified",
        "unspecified",
        [],
        {},
    ],
)
def test_an_unspecified_value_is_no_statement(silent: object) -> None:
    """It may be in any letter case, a number, or absent."""
    assert enum_name(silent) is None
    for reply in ({"promptFeedback": {"blockReason": silent}}, {"candidates": [{"finishReason": silent}]}):
        (sample,) = DIALECTS["generate_content"].decode(json.dumps(reply).encode(), requested=1).samples
        assert (sample.kind, sample.again, sample.finish_reason) == ("no_image", 1, None)  # type: ignore[union-attr]


def test_a_specified_value_is_a_statement() -> None:
    """The enum spells it in upper case."""
    assert enum_name(" image_safety ") == "IMAGE_SAFETY"
    assert drop_unspecified([{"category": "A", "probability": "X_UNSPECIFIED"}, {"category": "X_UNSPECIFIED"}]) == [
        {"category": "A"}
    ]


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (None, False),
        ({}, False),
        ({"code": 0}, False),
        ({"code": 0, "status": "OK", "message": ""}, False),
        ({"code": 500}, True),
        ({"message": "no"}, True),
        ({"code": 0, "status": "INTERNAL"}, True),
        ("overloaded", True),
    ],
)
def test_an_error_has_a_code_or_a_message(error: object, is_one: bool) -> None:
    """Code 0 means success on the wire."""
    assert has_error({"error": error}) is is_one
