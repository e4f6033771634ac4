"""Google's SDK and this package write the same request with reference images."""

import base64
import json
from pathlib import Path

from imagen_batch.providers.wire import DIALECTS
from imagen_batch.records import InputImage, Options
from tests.providers.wire.record_sdk_request import PNG, PROMPT, WEBP
from tests.support.factories import request

RECORDED = json.loads(Path(__file__).with_name("sdk_two_references.json").read_text())
# The SDK spells this name in snake case inside a part; the service reads both.
SPELLINGS = {"mime_type": "mimeType"}


def leaves(value, path=()):
    """Yield each value of a body with its path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, SPELLINGS.get(name, name)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    elif path[-1] == "data":  # the SDK writes base64 in the alphabet for URLs; proto JSON has either
        yield path, base64.urlsafe_b64decode(value.replace("+", "-").replace("/", "_"))
    else:
        yield path, value


def test_a_request_with_two_references_is_that_of_google_s_sdk():
    """Field by field, it has the images in their order, the prompt last, and nothing else."""
    options = Options(aspect_ratio="3:4", image_size="1K", seed=7)
    images = (InputImage("image/png", PNG), InputImage("image/webp", WEBP))
    body = DIALECTS["generate_content"].encode(
        request(prompt=PROMPT, options=options), vertex=False, references=images
    )
    assert dict(leaves(body)) == dict(leaves(RECORDED["body"]))
    assert RECORDED["path"].endswith(f"/models/{request().model}:generateContent")


def test_an_address_is_file_data():
    """Its type is sent if it is known: an uploaded file has one already."""
    images = (InputImage("image/png", uri="gs://b/fox.png"), InputImage("", uri="https://x/files/abc"))
    body = DIALECTS["generate_content"].encode(request(), vertex=True, references=images)
    parts = body["contents"][0]["parts"]
    assert parts[0] == {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/fox.png"}}
    assert parts[1] == {"fileData": {"fileUri": "https://x/files/abc"}}
