"""Parsing a reply without its images gives the same result as parsing it as a whole."""

import json
from unittest.mock import patch

import orjson
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagen_batch.providers.wire import large_replies
from imagen_batch.providers.wire.large_replies import loads

IMAGE = pybase64.b64encode_as_string(bytes(range(256)) * 32)
names = st.sampled_from(["data", "bytesBase64Encoded", "text", 'a"data', "data\\", ""]) | st.text(max_size=4)
texts = st.text(max_size=12) | st.sampled_from(['"data": "abc"', "ab\\", "a/b+c=", IMAGE, '\\"'])
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def plain(value):
    """Return the value with views replaced by their text."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return str(value, "utf-8") if isinstance(value, memoryview) else value


@given(
    document=documents, indent=st.sampled_from([None, 1]), escaped=st.booleans(), long=st.sampled_from([0, 3, 4096])
)
def test_every_document_is_read_as_the_parser_reads_it(document, indent, escaped, long):
    """Names, texts and their spelling make no difference."""
    body = json.dumps(document, indent=indent, ensure_ascii=escaped).encode()
    with patch.object(large_replies, "_LONG_BYTES", long):
        assert plain(loads(body)) == orjson.loads(body)


@given(body=st.binary(max_size=80) | documents.map(orjson.dumps), at=st.integers(0, 80), byte=st.integers(0, 255))
def test_damage_is_found_at_once_or_in_decoding_the_image(body, at, byte):
    """Bytes that JSON forbids can only be in a text that was cut out, and base64 does not contain them."""
    damaged = body[:at] + bytes([byte]) + body[at + 1 :]
    with patch.object(large_replies, "_LONG_BYTES", 0):
        try:
            expected = orjson.loads(damaged)
        except orjson.JSONDecodeError:
            parts = _lifted_parts(damaged)
            assert parts is None or any(_is_no_base64(part) for part in parts)
        else:
            assert plain(loads(damaged)) == expected


def _lifted_parts(body):
    """Return the texts that were cut out; None if the rest can't be parsed."""
    try:
        value = loads(body)
    except orjson.JSONDecodeError:
        return None
    boxes, parts = [value], []
    while boxes:
        box = boxes.pop()
        if isinstance(box, memoryview):
            parts.append(box)
        elif isinstance(box, dict | list):
            boxes += box.values() if isinstance(box, dict) else box
    return parts


def _is_no_base64(text):
    try:
        pybase64.b64decode(text, validate=True)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize("name", ["data", "bytesBase64Encoded"])
def test_an_image_is_a_view_of_the_reply(name):
    """Nothing of it is copied."""
    body = orjson.dumps({"inlineData": {name: IMAGE, "mimeType": "image/png"}})
    value = loads(body)["inlineData"][name]
    assert value.obj is body
    assert bytes(value) == IMAGE.encode()


def test_a_text_with_escapes_stays_for_the_parser():
    """Some services write base64 with a backslash before each slash."""
    body = orjson.dumps({"data": IMAGE}).replace(b"/", rb"\/")
    assert loads(body) == {"data": IMAGE}


def test_a_reply_that_breaks_off_in_an_image_is_no_json():
    """Its closing quote is missing."""
    with pytest.raises(orjson.JSONDecodeError):
        loads(orjson.dumps({"data": IMAGE})[:-10])


def test_a_deep_reply_is_read_without_recursion():
    """The depth is that of the parser."""
    value = loads(b"[" * 1000 + orjson.dumps({"data": IMAGE}) + b"]" * 1000)
    while isinstance(value, list):
        value = value[0]
    assert bytes(value["data"]) == IMAGE.encode()


def test_a_long_signature_becomes_an_empty_text():
    """Nothing of it is copied or kept, in either spelling; a short one is read as any text."""
    for name in ("thoughtSignature", "thought_signature"):
        body = orjson.dumps({"parts": [{name: IMAGE}, {"data": IMAGE, name: "c2hvcnQ="}]})
        [skipped, kept] = loads(body)["parts"]
        assert skipped == {name: ""}
        assert (kept["data"].obj, kept[name]) == (body, "c2hvcnQ=")


def test_a_body_is_searched_once():
    """This holds for any number of long texts."""
    body = orjson.dumps([{"data": IMAGE}, {"thoughtSignature": IMAGE}, {"data": IMAGE}])
    with patch.object(large_replies, "_long_texts", wraps=large_replies._long_texts) as search:
        loads(body)
    assert search.call_count == 1
