"""The simulator rejects every request that the documentation does not allow."""

from __future__ import annotations

from typing import Any

import pytest

from imagen_batch.simulator import Simulator
from tests.support.http import GEMINI, IMAGEN, KEY, VERTEX, generate, predict, send

ULTRA, FAST = "imagen-4.0-ultra-generate-001", "imagen-4.0-fast-generate-001"
IMAGEN_3, NANO_1, LITE = "imagen-3.0-generate-002", "gemini-2.5-flash-image", "gemini-3.1-flash-lite-image"


@pytest.mark.parametrize(
    ("model", "options", "field"),
    [
        (IMAGEN, {"colour": "red"}, "parameters"),
        (IMAGEN, {"sampleCount": 0}, "parameters.sampleCount"),
        (IMAGEN, {"sampleCount": 5}, "parameters.sampleCount"),
        (IMAGEN, {"sampleCount": "2"}, "parameters.sampleCount"),
        (IMAGEN, {"sampleCount": True}, "parameters.sampleCount"),
        (ULTRA, {"sampleCount": 2}, "parameters.sampleCount"),
        (IMAGEN, {"aspectRatio": "21:9"}, "parameters.aspectRatio"),
        (IMAGEN, {"sampleImageSize": "4K"}, "parameters.sampleImageSize"),
        (FAST, {"sampleImageSize": "2K"}, "parameters.sampleImageSize"),
        (IMAGEN_3, {"sampleImageSize": "1K"}, "parameters.sampleImageSize"),
        (IMAGEN, {"imageSize": "1K"}, "parameters"),
        (IMAGEN, {"personGeneration": "everyone"}, "parameters.personGeneration"),
        (IMAGEN, {"outputOptions": {"mimeType": "image/webp"}}, "parameters.outputOptions.mimeType"),
        (IMAGEN, {"outputOptions": {"compressionQuality": 80}}, "parameters.outputOptions"),
        (IMAGEN, {"seed": -1}, "parameters.seed"),
        (IMAGEN, {"includeRaiReason": "true"}, "parameters.includeRaiReason"),
        (IMAGEN, {"storageUri": "gs://b"}, "parameters.storageUri"),
    ],
)
def test_predict_refuses(sim: Simulator, model: str, options: dict[str, Any], field: str) -> None:
    """It is a 400 INVALID_ARGUMENT that names the place."""
    error = predict(sim, model=model, **options).json["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["fieldViolations"][0]["field"] == field


@pytest.mark.parametrize(
    "options",
    [
        {"sampleImageSize": "2k", "personGeneration": "ALLOW_ADULT", "safetySetting": "BLOCK_ONLY_HIGH"},
        {"negativePrompt": "rain", "seed": 2**32 - 1, "addWatermark": False, "enhancePrompt": True},
        {"guidanceScale": 7.5, "language": "ja", "includeRaiReason": True},
        {"outputOptions": {"mimeType": "image/jpeg", "compressionQuality": 0}},
    ],
)
def test_predict_accepts(sim: Simulator, options: dict[str, Any]) -> None:
    """This is everything that either host documents."""
    assert predict(sim, **options).status == 200


def test_vertex_refuses_a_seed_with_a_watermark(sim: Simulator) -> None:
    """The watermark is on unless it is switched off."""
    assert predict(sim, root=VERTEX, seed=1).status == 400
    assert predict(sim, root=VERTEX, seed=1, addWatermark=False).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b"[]",
        b'{"instances": []}',
        b'{"instances": [{"prompt": " "}]}',
        b'{"instances": [{"prompt": "a"}, {"prompt": "b"}]}',
        b'{"instances": [{"prompt": "a"}], "labels": {"team": 1}}',
        b'{"instances": [{"prompt": "a", "image": {}}]}',
        b'{"contents": []}',
    ],
)
def test_a_body_of_another_shape_is_refused(sim: Simulator, body: bytes) -> None:
    """It is always a 400 and never a broken connection."""
    assert send(sim, f"/v1/models/{IMAGEN}:predict", body).status == 400
    assert send(sim, f"/v1/models/{GEMINI}:generateContent", body).status == 400


@pytest.mark.parametrize(
    ("model", "image", "config"),
    [
        (GEMINI, {"imageSize": "1k"}, {}),
        (GEMINI, {"imageSize": "512"}, {}),
        (LITE, {"imageSize": "2K"}, {}),
        (NANO_1, {"imageSize": "1K"}, {}),
        (NANO_1, {"aspectRatio": "1:4"}, {}),
        (GEMINI, {"aspectRatio": "16:09"}, {}),
        (GEMINI, {"personGeneration": "ALLOW_ADULT"}, {}),
        (GEMINI, {}, {"candidateCount": 2}),
        (GEMINI, {}, {"responseMimeType": "image/png"}),
        (GEMINI, {}, {"responseModalities": ["AUDIO"]}),
        (GEMINI, {}, {"thinkingConfig": {"thinkingLevel": "LOW"}}),
        (NANO_1, {}, {"thinkingConfig": {"thinkingLevel": "HIGH"}}),
        (GEMINI, {}, {"negativePrompt": "rain"}),
        (GEMINI, {}, {"seed": 1.5}),
    ],
)
def test_generate_content_refuses(sim: Simulator, model: str, image: dict[str, Any], config: dict[str, Any]) -> None:
    """It is a 400 INVALID_ARGUMENT that names the place."""
    error = generate(sim, model=model, config=config, **image).json["error"]
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["fieldViolations"][0]["field"].startswith("generationConfig")


def test_generate_content_reads_snake_case(sim: Simulator) -> None:
    """Proto JSON has both spellings."""
    contents = [{"parts": [{"text": "a"}]}]
    config = {"image_config": {"aspect_ratio": "16:9"}, "thinking_config": {"thinking_level": "HIGH"}}
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}]
    body = {"contents": contents, "generation_config": config, "safety_settings": safety, "store": False}
    assert send(sim, f"/v1/models/{GEMINI}:generateContent", body).status == 200


def test_some_fields_are_for_vertex_only(sim: Simulator) -> None:
    """They set who may be shown, and the file type."""
    own = {"personGeneration": "ALLOW_NONE", "imageOutputOptions": {"mimeType": "image/png"}}
    assert generate(sim, root=VERTEX, **own).images[0].startswith(b"\x89PNG")
    assert generate(sim, **own).status == 400


def test_a_prompt_that_is_too_long_for_the_model_is_refused(sim: Simulator) -> None:
    """The limit is 131,072 tokens."""
    assert "input token count" in generate(sim, "word " * 110_000).message


def test_the_sample_header_is_a_number(sim: Simulator) -> None:
    """Anything else is refused."""
    body = {"instances": [{"prompt": "a"}]}
    for value in ("0", "-1", "one", "²"):
        headers = {**KEY, "x-imagen-batch-sample": value.encode().decode("latin-1")}
        assert send(sim, f"/v1/models/{IMAGEN}:predict", body, headers=headers).status == 400
