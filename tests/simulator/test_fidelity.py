"""The simulator is exactly as strict as the service according to the discovery document and recorded replies."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from imagen_batch.simulator import Simulator
from tests.support.http import GEMINI, VERTEX, Reply, generate, send
from tests.support.reference_files import image_bytes

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PRO = "gemini-3-pro-image"


def post(
    sim: Simulator, *, vertex: bool = False, parts: list[Any] | None = None, model: str = GEMINI, **more: Any
) -> Reply:
    """Send a generateContent request with more fields at its top level."""
    body = {"contents": [{"role": "user", "parts": [{"text": "a cat"}, *(parts or [])]}], **more}
    root = VERTEX if vertex else "/v1beta"
    return send(sim, f"{root}/models/{model}:generateContent", body)


def test_vertex_has_no_field_for_store(sim: Simulator) -> None:
    """It refuses the whole request, and names the field."""
    assert post(sim, store=False).status == 200
    refused = post(sim, vertex=True, store=False)
    assert refused.status == 400
    assert 'Unknown name "store"' in refused.message


@pytest.mark.parametrize(
    ("fields", "gemini", "vertex"),
    [
        ({"labels": {"team": "art"}}, 200, 200),
        ({"serviceTier": "flex"}, 200, 400),
        ({"serviceTier": "cheap"}, 400, 400),
        ({"outputConfig": {"outputUriPrefix": "gs://b/p/"}}, 400, 200),
        ({"tools": [{"googleSearch": {"searchTypes": {"webSearch": {}, "imageSearch": {}}}}]}, 200, 200),
        ({"tools": [{"codeExecution": {}}]}, 400, 400),
        ({"generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW"}}, 200, 200),
        ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 128}}}, 200, 200),
        ({"generationConfig": {"imageConfig": {"prominentPeople": "BLOCK_PROMINENT_PEOPLE"}}}, 400, 200),
        ({"safetySettings": [{"category": "HARM_CATEGORY_JAILBREAK", "threshold": "OFF"}]}, 200, 200),
        ({"safetySettings": [{"category": "HARM_CATEGORY_IMAGE_HATE", "threshold": "OFF"}]}, 400, 200),
        ({"safetySettings": [{"category": "HARM_CATEGORY_IMAGE", "threshold": "OFF"}]}, 400, 400),
    ],
    ids=str,
)
def test_each_host_accepts_its_own_fields(sim: Simulator, fields: dict[str, Any], gemini: int, vertex: int) -> None:
    """It accepts no others."""
    assert (post(sim, **fields).status, post(sim, vertex=True, **fields).status) == (gemini, vertex)


def test_the_highest_thinking_level_is_unknown_on_vertex(sim: Simulator) -> None:
    """Its enum has no XHIGH."""
    config = {"thinkingConfig": {"thinkingLevel": "XHIGH"}}
    assert post(sim, model="sim-x", generationConfig=config).status == 200
    assert post(sim, model="sim-x", vertex=True, generationConfig=config).status == 400


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inline_data": {"mime_type": "image/png", "data": PNG.rstrip("=")}},
        {"fileData": {"mimeType": "image/heic", "fileUri": "gs://b/x.heic"}},
        {
            "inlineData": {"mimeType": "image/png", "data": PNG},
            "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"},
        },
    ],
    ids=str,
)
def test_reference_images_are_accepted_and_change_the_drawing(sim: Simulator, part: dict[str, Any]) -> None:
    """They are counted as tokens of the prompt."""
    plain, with_reference = post(sim), post(sim, parts=[part])
    assert with_reference.status == 200
    assert with_reference.images != plain.images
    assert with_reference.images == post(sim, parts=[part]).images
    counts = with_reference.json["usageMetadata"]
    assert counts["promptTokenCount"] == plain.json["usageMetadata"]["promptTokenCount"] + 1120
    assert {"modality": "IMAGE", "tokenCount": 1120} in counts["promptTokensDetails"]


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "application/pdf", "data": PNG}},
        {"inlineData": {"mimeType": "image/gif", "data": "R0lGODlhAQABAAAAACwAAAAAAQABAAA="}},
        {"inlineData": {"mimeType": "image/jpg", "data": PNG}},
        {"inlineData": {"mimeType": "image/webp", "data": PNG}},
        {"inlineData": {"mimeType": "image/png", "data": PNG[:40]}},
        {"inlineData": {"data": PNG}},
        {"inlineData": {"mimeType": "image/png", "data": "*"}},
        {"inlineData": {"mimeType": "image/png", "bytes": PNG}},
        {"video": {}},
    ],
    ids=str,
)
def test_other_parts_are_refused(sim: Simulator, part: dict[str, Any]) -> None:
    """It is a 400 that names the place."""
    assert post(sim, parts=[part]).status == 400


def test_too_many_reference_images_are_refused(sim: Simulator) -> None:
    """Fourteen are allowed."""
    part = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert post(sim, parts=[part] * 14).status == 200
    assert post(sim, parts=[part] * 15).status == 400


def test_a_conversation_continues(sim: Simulator) -> None:
    """The second turn has the model's answer with image and signature; only the user's texts are the prompt."""
    first = post(sim).json["candidates"][0]["content"]
    contents = [
        {"role": "user", "parts": [{"text": "a cat"}]},
        first,
        {"role": "user", "parts": [{"text": ", now blue"}]},
    ]
    reply = send(sim, f"/v1beta/models/{GEMINI}:generateContent", {"contents": contents})
    assert reply.status == 200
    assert sim.images[-1].prompt == "a cat, now blue"


def test_usage_is_as_recorded(sim: Simulator) -> None:
    """It has more tokens than the image, a tier or a kind of traffic, and on Vertex a time but no index."""
    gemini, vertex = generate(sim, model=PRO).json, generate(sim, model=PRO, root=VERTEX).json
    for reply in (gemini, vertex):
        counts = reply["usageMetadata"]
        assert (counts["candidatesTokenCount"], counts["candidatesTokensDetails"][0]["tokenCount"]) == (1216, 1120)
        output_tokens = counts["candidatesTokenCount"] + counts["thoughtsTokenCount"]
        assert counts["totalTokenCount"] == counts["promptTokenCount"] + output_tokens
    assert (gemini["usageMetadata"]["serviceTier"], gemini["candidates"][0]["index"]) == ("standard", 0)
    assert "createTime" not in gemini
    assert vertex["usageMetadata"]["trafficType"] == "ON_DEMAND"
    assert vertex["createTime"].endswith("Z")
    assert "index" not in vertex["candidates"][0]


@pytest.mark.parametrize("fault", ["blocked_prompt", "finish_IMAGE_SAFETY", "finish_MODEL_ARMOR", "text_only"])
def test_a_refusal_counts_no_thoughts_and_no_image(sim: Simulator, fault: str) -> None:
    """On Vertex a blocked prompt counts nothing at all."""
    counts = generate(sim, f"x [[sim:{fault}]]").json["usageMetadata"]
    assert not counts.keys() & {"thoughtsTokenCount", "candidatesTokenCount"}
    assert counts["serviceTier"] == "standard"
    vertex = generate(sim, f"x [[sim:{fault}]]", root=VERTEX).json["usageMetadata"]
    if fault == "blocked_prompt":
        assert vertex == {"trafficType": "ON_DEMAND"}


def test_the_largest_image_has_as_many_tokens_as_its_price_says(sim: Simulator) -> None:
    """It costs 0.1134 USD at 30 USD per million tokens."""
    details = generate(sim, imageSize="4K").json["usageMetadata"]["candidatesTokensDetails"]
    assert details == [{"modality": "IMAGE", "tokenCount": 3780}]


def test_a_preview_name_serves_the_same_model(sim: Simulator) -> None:
    """It is the alias that Google's client lists."""
    assert len(generate(sim, model="nano-banana-pro-preview").images) == 1


def test_a_signature_has_the_requested_size(sim: Simulator) -> None:
    """Real signatures are larger than their images."""
    part = generate(sim, "x [[sim:thought_signature 400000]]").json["candidates"][0]["content"]["parts"][-1]
    assert len(part["thoughtSignature"]) == 400_000


def test_the_drawn_image_shows_its_references_small(sim: Simulator) -> None:
    """They are in their order, so that a rehearsal shows which sheet belongs to which prompt."""
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(image_bytes(color)).decode()}}
        for color in ("red", "blue")
    ]
    reply = post(sim, parts=parts).json["candidates"][0]["content"]["parts"][-1]["inlineData"]["data"]
    drawn = Image.open(io.BytesIO(base64.b64decode(reply))).convert("RGB")
    strip = [drawn.getpixel((x, round(drawn.height * 0.16) + 20)) for x in range(0, drawn.width, 8)]
    hues = ["red" if r > 200 > g + b else "blue" if b > 200 > r + g else "" for r, g, b in strip]
    assert list(dict.fromkeys(filter(None, hues))) == ["red", "blue"]
