"""Skipping the long texts of a reply changes nothing about what is read from it."""

import random
from unittest.mock import patch

import orjson
import pybase64
import pytest

from imagen_batch.errors import AttemptError
from imagen_batch.providers.wire import generate_content, large_replies, predict
from tests.support.images import sound

PNG = sound()["png one pixel"]
IMAGE = pybase64.b64encode_as_string(PNG)
DRAFT = pybase64.b64encode_as_string(b"a draft" * 30)
SIGNATURE = "CpwF/signed+" * 20
ODD = [b'"', b"\\", b"\x00", b"\xff", b"\n", b"{", b"}", b"[", b"]", b",", b":", b"=", b"\xc3\xa9", b"\\/", b"true"]
NAMES = [b"thoughtSignature", b"thought_signature", b"data", b"thought", b"text", b"parts", b"candidates"]


def replies(dialect):
    """Return replies with signatures and thoughts of every kind."""
    if dialect is predict:
        item = {"mimeType": "image/png", "bytesBase64Encoded": IMAGE, "thoughtSignature": SIGNATURE}
        return [
            orjson.dumps({"predictions": [item]}),
            orjson.dumps({"predictions": [item, {"raiFilteredReason": "x"}]}),
        ]
    image = {"inlineData": {"mimeType": "image/png", "data": IMAGE}, "thoughtSignature": SIGNATURE}
    draft = {"inlineData": {"mimeType": "image/png", "data": DRAFT}, "thought": True, "thought_signature": SIGNATURE}
    words = {"text": 'Here it is: "boats"', "thoughtSignature": SIGNATURE}
    parts = [[image], [draft, image], [words, draft], [draft, words, image, image]]
    return [
        orjson.dumps({"candidates": [{"content": {"parts": each}, "finishReason": "STOP"}], "modelVersion": "m"})
        for each in parts
    ]


def mutated(body, dice):
    """Return `body` with a few bytes changed, removed, repeated or added."""
    for _ in range(dice.randint(0, 3)):
        at = dice.randrange(len(body) + 1)
        length = dice.choice([0, 1, 1, 2, 40, 300])
        added = dice.choice([b"", dice.choice(ODD), dice.choice(NAMES), body[at : at + length] * 2])
        body = body[:at] + added + body[at + length :]
    return body


def read(dialect, body):
    """Return what the dialect makes of a body, errors included."""
    try:
        return dialect.decode(body, requested=1)
    except AttemptError as error:
        return type(error), str(error), vars(error)


@pytest.mark.parametrize("dialect", [generate_content, predict])
def test_a_damaged_reply_is_read_as_without_skipping(dialect):
    """The images, words, causes and errors are those of the parser alone."""
    dice = random.Random(12)
    bodies = replies(dialect)
    for _ in range(4000):
        body = mutated(dice.choice(bodies), dice)
        with patch.object(large_replies, "_LONG_BYTES", 20):
            skipping = read(dialect, body)
        with patch.object(large_replies, "_LONG_BYTES", len(body) + 1):
            assert read(dialect, body) == skipping, body


def test_a_draft_among_the_thoughts_is_not_decoded():
    """Only the image of the final answer is decoded."""
    with (
        patch.object(large_replies, "_LONG_BYTES", 20),
        patch.object(generate_content, "image_bytes", wraps=generate_content.image_bytes) as decode,
    ):
        reply = generate_content.decode(replies(generate_content)[1], requested=1)
    assert decode.call_count == 1
    assert reply.samples[0].data == PNG
