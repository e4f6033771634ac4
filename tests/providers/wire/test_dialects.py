"""Requests are written correctly in both dialects, and unusual replies are read correctly."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from imagen_batch.errors import Fatal
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.providers.wire.generate_content import prompt_without
from imagen_batch.providers.wire.quota import next_reset
from imagen_batch.providers.wire.support_codes import CATEGORIES, INPUT_CODES, OUTPUT_CODES, support_codes
from imagen_batch.records import ImageRequest, NoImage, Options, ReceivedImage


def request(*, samples: int = 1, dialect: str = "predict", **options: Any) -> ImageRequest:
    """Return a request for a red bicycle with the given options."""
    return ImageRequest(
        key="k" * 64,
        base="b" * 64,
        row=1,
        first=1,
        samples=samples,
        model="m",
        dialect=dialect,
        prompt="a red bicycle",
        options=Options(**options),
        names=("images/000001_01",) * samples,
        price=None,
    )


def encoded(dialect: str, *, vertex: bool = False, samples: int = 1, **options: Any) -> dict[str, Any]:
    return DIALECTS[dialect].encode(request(samples=samples, dialect=dialect, **options), vertex=vertex)


def test_the_dialects_know_their_names_and_verbs() -> None:
    """The URL ends in the verb."""
    assert {name: (dialect.name, dialect.verb) for name, dialect in DIALECTS.items()} == {
        "predict": ("predict", "predict"),
        "generate_content": ("generate_content", "generateContent"),
    }


def test_predict_sends_only_options_that_are_set_and_requests_reasons() -> None:
    """The service chooses options that are not set; reasons for refusals are always requested."""
    assert encoded("predict", samples=2) == {
        "instances": [{"prompt": "a red bicycle"}],
        "parameters": {"sampleCount": 2, "includeRaiReason": True},
    }


def test_predict_calls_every_option_by_its_wire_name() -> None:
    """Some of the names are not obvious. (api: 2)"""
    body = encoded(
        "predict",
        samples=4,
        vertex=True,
        aspect_ratio="16:9",
        image_size="2K",
        person_generation="allow_adult",
        negative_prompt="rain",
        seed=0,
        guidance_scale=7.5,
        safety_setting="block_only_high",
        language="en",
        include_safety_attributes=True,
        output_mime_type="image/jpeg",
        compression_quality=0,
        add_watermark=False,
        enhance_prompt=False,
        labels=(("team", "books"),),
    )
    assert body == {
        "instances": [{"prompt": "a red bicycle"}],
        "parameters": {
            "sampleCount": 4,
            "aspectRatio": "16:9",
            "sampleImageSize": "2K",
            "personGeneration": "allow_adult",
            "includeRaiReason": True,
            "negativePrompt": "rain",
            "seed": 0,
            "guidanceScale": 7.5,
            "safetySetting": "block_only_high",
            "language": "en",
            "includeSafetyAttributes": True,
            "outputOptions": {"mimeType": "image/jpeg", "compressionQuality": 0},
            "addWatermark": False,
            "enhancePrompt": False,
        },
        "labels": {"team": "books"},
    }


def test_generate_content_sends_only_options_that_are_set() -> None:
    """There is no candidateCount and no empty imageConfig: both can be refused."""
    assert encoded("generate_content") == {
        "contents": [{"role": "user", "parts": [{"text": "a red bicycle"}]}],
        "generationConfig": {"responseModalities": ["IMAGE"]},
    }


def test_generate_content_puts_every_option_in_its_documented_place() -> None:
    """A negative prompt has no field and is added to the prompt. (api: 8.1)"""
    body = encoded(
        "generate_content",
        aspect_ratio="16:9",
        image_size="2K",
        seed=42,
        thinking_level="MINIMAL",
        negative_prompt="rain, text",
        safety_settings=(("HARM_CATEGORY_HARASSMENT", "BLOCK_ONLY_HIGH"),),
        store=False,
        person_generation="allow_adult",
    )
    assert body == {
        "contents": [{"role": "user", "parts": [{"text": "a red bicycle\n\nWithout: rain, text"}]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
            "thinkingConfig": {"thinkingLevel": "MINIMAL"},
            "seed": 42,
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}],
        "store": False,
    }


def test_generate_content_on_vertex_has_more_fields() -> None:
    """Persons, encoding and billing labels have fields only there."""
    body = encoded(
        "generate_content",
        vertex=True,
        person_generation="dont_allow",
        output_mime_type="image/jpeg",
        compression_quality=80,
        labels=(("team", "books"),),
    )
    assert body["generationConfig"]["imageConfig"] == {
        "personGeneration": "ALLOW_NONE",
        "imageOutputOptions": {"mimeType": "image/jpeg", "compressionQuality": 80},
    }
    assert body["labels"] == {"team": "books"}


def test_generate_content_on_vertex_has_no_store() -> None:
    """The field is unknown there: with it every request would be refused."""
    assert "store" not in encoded("generate_content", vertex=True, store=False)
    assert encoded("generate_content", store=False)["store"] is False


@pytest.mark.parametrize(
    ("dialect", "option"),
    [
        ("predict", {"thinking_level": "HIGH"}),
        ("predict", {"safety_settings": ()}),
        ("predict", {"store": False}),
        ("generate_content", {"guidance_scale": 7.0}),
        ("generate_content", {"safety_setting": "block_only_high"}),
        ("generate_content", {"language": "en"}),
        ("generate_content", {"include_safety_attributes": True}),
        ("generate_content", {"add_watermark": False}),
        ("generate_content", {"enhance_prompt": False}),
        ("generate_content", {"output_mime_type": "image/png"}),
        ("generate_content", {"compression_quality": 80}),
        ("generate_content", {"labels": ()}),
    ],
    ids=str,
)
def test_an_option_that_the_dialect_can_not_express_is_a_bug(dialect: str, option: dict[str, Any]) -> None:
    """Dropping it silently would make different images."""
    with pytest.raises(ValueError, match=next(iter(option))):
        encoded(dialect, **option)


def test_a_prompt_without_a_negative_prompt_is_sent_unchanged() -> None:
    """Nothing is added without a need."""
    assert prompt_without("a cat", None) == prompt_without("a cat", "") == "a cat"


def test_an_image_comes_out_byte_for_byte() -> None:
    """Images are paid for; not one byte may change."""
    data = bytes(range(256)) * 40
    item = {"mimeType": "image/jpeg", "bytesBase64Encoded": base64.b64encode(data).decode()}
    reply = DIALECTS["predict"].decode(json.dumps({"predictions": [item]}).encode(), requested=1)
    assert reply.samples == (ReceivedImage(data, "image/jpeg"),)


def test_safety_attributes_too_deep_to_write_are_left_out() -> None:
    """An image is worth more than the text beside it."""
    deep = "[" * 400 + "]" * 400
    body = f'{{"predictions": [{{"bytesBase64Encoded": "YQ==", "safetyAttributes": {deep}}}]}}'
    assert DIALECTS["predict"].decode(body.encode(), requested=1).samples == (
        ReceivedImage(b"a", "application/octet-stream"),
    )


def test_every_support_code_has_a_category() -> None:
    """The table has 13 codes for prompts and 13 for images; one is for both. (api: 3.4)"""
    assert len(INPUT_CODES) == len(OUTPUT_CODES) == 13
    assert CATEGORIES.keys() == INPUT_CODES | OUTPUT_CODES
    assert {"64151117"} == INPUT_CODES & OUTPUT_CODES


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        ("Support codes: 39322892, 29310472", ("39322892", "29310472")),
        ("Support code: 39322892. Try again.", ("39322892",)),
        ("Support code(s): 1, 1", ("1",)),
        (" 58061214 ", ("58061214",)),
        ("Unable to show 2 generated images.", ()),
        ("", ()),
    ],
)
def test_support_codes_are_found_in_texts(words: str, codes: tuple[str, ...]) -> None:
    """A number in the text is not a support code unless it is named one, or alone."""
    assert support_codes(words) == codes


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        ("2026-11-22T20:00+00:00", "2026-11-23T00:00-08:00"),
        ("2026-11-23T07:59+00:00", "2026-11-23T00:00-08:00"),
        ("2026-11-23T08:00+00:00", "2026-11-24T00:00-08:00"),
        ("2026-10-31T20:00+00:00", "2026-11-01T00:00-07:00"),
        ("2026-11-01T20:00+00:00", "2026-11-02T00:00-08:00"),
    ],
)
def test_a_daily_quota_resets_at_midnight_in_california(now: str, reset: str) -> None:
    """This holds on the days on which the clocks change there."""
    assert next_reset(datetime.fromisoformat(now)) == datetime.fromisoformat(reset)


def test_a_long_message_of_the_service_is_shortened() -> None:
    """A message is for one line on a screen."""
    body = json.dumps({"error": {"code": 403, "message": "no\n" * 5000}}).encode()
    with pytest.raises(Fatal) as caught:
        read_error(403, {}, body, requested=1)
    assert len(str(caught.value)) < 400


def test_the_limit_that_was_hit_stays_readable() -> None:
    """The usual words and links come first and would push the name of the quota out of the message."""
    usual = "You exceeded your current quota. For more information on this error, head to: https://a.example/b. "
    metric = "* Quota exceeded for metric: x/requests_per_day, limit: 70"
    body = json.dumps({"error": {"message": usual + metric}}).encode()
    with pytest.raises(Fatal, match="requests_per_day, limit: 70") as caught:
        read_error(429, {}, body, requested=1, now=lambda: datetime(2026, 11, 22, tzinfo=UTC))
    assert "https" not in str(caught.value)


def test_a_refused_prompt_fills_all_samples() -> None:
    """A single refusal holds for every requested image."""
    body = b'{"error": {"code": 400, "message": "The prompt could not be submitted."}}'
    reply = read_error(400, {}, body, requested=4)
    assert reply.samples == (reply.samples[0],) * 4
    assert isinstance(reply.samples[0], NoImage)
