"""The `:generateContent` dialect of Gemini: writes its requests and reads its replies. (api: 8)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pybase64 import b64encode_as_string

from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.providers.wire.decode_image import image_bytes
from imagen_batch.providers.wire.lenient_json import (
    Json,
    as_count,
    as_objects,
    as_text,
    dig,
    enum_name,
    has_error,
    json_text,
    parse_answer,
    shorten,
)
from imagen_batch.providers.wire.option_fields import OUTPUT_OPTIONS, require_unset, set_fields
from imagen_batch.providers.wire.support_codes import categories, filtered_sample, support_codes
from imagen_batch.records import ImageRequest, InputImage, NoImage, Options, ReceivedImage, Reply, TokenUsage

name: Final = "generate_content"
verb: Final = "generateContent"

# (api: 9)
_UNSUPPORTED = (
    "guidance_scale",
    "safety_setting",
    "language",
    "include_safety_attributes",
    "add_watermark",
    "enhance_prompt",
)
_UNSUPPORTED_OFF_VERTEX = ("output_mime_type", "compression_quality", "labels")
_PERSON_GENERATION = {"dont_allow": "ALLOW_NONE", "allow_adult": "ALLOW_ADULT", "allow_all": "ALLOW_ALL"}
_IMAGE_CONFIG = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}

# (api: 8.3) An answer has at least one of these names, or is empty.
_KNOWN = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId")

# (api: 8.4) Finish reasons that mean a filter.
_FILTERED = frozenset(
    {
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "PROHIBITED_CONTENT",
        "SAFETY",
        "BLOCKLIST",
        "SPII",
        "RECITATION",
        "LANGUAGE",
        "MODEL_ARMOR",  # recorded: "The response violated Responsible AI Safety settings ..."
    }
)

# (api: 8.4) How many more attempts may help if no image came. For all other reasons, known or not: one.
_RETRIES_BY_FINISH_REASON = {
    "IMAGE_OTHER": 2,
    "NO_IMAGE": 2,
    "UNEXPECTED_TOOL_CALL": 0,
    "TOO_MANY_TOOL_CALLS": 0,
    "MALFORMED_FUNCTION_CALL": 0,
    "MISSING_THOUGHT_SIGNATURE": 0,
    "ESCALATION": 0,
    "PUP_LIMITED_DISABLED": 0,
    "CONTINUATION": 0,
}

_NOT_REQUESTED = NoImage("failed", kind="no_image", reason="this service makes one image per request")


def encode(request: ImageRequest, *, vertex: bool, references: Sequence[InputImage] = ()) -> dict[str, object]:
    """Return the body to post, for one image. Options that are not set are not sent. (api: 8.1)

    Reference images come first, in their order, then the prompt. There is no field for a negative prompt: it is added
    to the prompt. The Gemini API has no field for person_generation, and Vertex has none for store: there they are
    left out.
    """
    options = request.options
    require_unset(options, _UNSUPPORTED if vertex else _UNSUPPORTED + _UNSUPPORTED_OFF_VERTEX, dialect=name)
    prompt = prompt_without(request.prompt, options.negative_prompt)
    body: dict[str, object] = {
        "contents": [{"role": "user", "parts": [*map(_input_part, references), {"text": prompt}]}],
        "generationConfig": _generation_config(options, vertex=vertex),
    }
    if options.safety_settings is not None:
        body["safetySettings"] = [{"category": c, "threshold": t} for c, t in options.safety_settings]
    if options.store is not None and not vertex:  # Vertex refuses it as an unknown name (api: 8.1)
        body["store"] = options.store
    if options.labels is not None:
        body["labels"] = dict(options.labels)
    return body


def _input_part(image: InputImage) -> dict[str, object]:
    if image.uri is None:
        return {"inlineData": {"mimeType": image.mime_type, "data": b64encode_as_string(image.data)}}
    mime_type = {"mimeType": image.mime_type} if image.mime_type else {}
    return {"fileData": {**mime_type, "fileUri": image.uri}}


def prompt_without(prompt: str, unwanted: str | None) -> str:
    """Return the prompt with what the image must not contain."""
    return f"{prompt}\n\nWithout: {unwanted}" if unwanted else prompt


def decode(body: bytes, *, requested: int, http_status: int = 200) -> Reply:
    """Return the sample. An image counts whatever the finish reason is; of several, the last one. (api: 8.3)"""
    answer = parse_answer(body, known=_KNOWN, http_status=http_status)
    candidates = as_objects(dig(answer, "candidates"))
    if has_error(answer) and not candidates:
        return read_error(http_status, {}, body, requested=requested)
    with_images = ((candidate, parts) for candidate in candidates if (parts := _image_parts(candidate)))
    candidate, images = next(with_images, (candidates[0] if candidates else {}, []))
    decoded = [image for part in images if (image := _read_image(candidate, part, received=len(images)))]
    sample: ReceivedImage | NoImage
    if decoded:
        sample = decoded[-1]
    elif images:
        sample = NoImage("failed", kind="bad_base64", reason="the image arrived damaged", again=1)
    elif uri := _stored_at(candidates):
        sample = NoImage("failed", kind="no_image", reason=f"the service stored the image at {shorten(uri)}")
    else:
        sample = _read_no_image(answer, candidate)
    return Reply(
        samples=(sample, *[_NOT_REQUESTED if images else sample] * (requested - 1)),
        http_status=http_status,
        usage=_usage(answer, has_image=bool(images)),
        model_version=_name(dig(answer, "modelVersion")),
        response_id=_name(dig(answer, "responseId")),
        spare=tuple(decoded[:-1]),
    )


def _generation_config(options: Options, *, vertex: bool) -> dict[str, object]:
    config: dict[str, object] = {"responseModalities": ["IMAGE"]}
    if image := _image_config(options, vertex=vertex):
        config["imageConfig"] = image
    if options.thinking_level is not None:
        config["thinkingConfig"] = {"thinkingLevel": options.thinking_level}
    if options.seed is not None:
        config["seed"] = options.seed
    return config


def _image_config(options: Options, *, vertex: bool) -> dict[str, object]:
    config = set_fields(options, _IMAGE_CONFIG)
    if not vertex:
        return config
    if options.person_generation is not None:
        config["personGeneration"] = _PERSON_GENERATION[options.person_generation]
    if output := set_fields(options, OUTPUT_OPTIONS):
        config["imageOutputOptions"] = output
    return config


def _parts(candidate: Json) -> list[Json]:
    """Return the parts of the answer itself, without thoughts and the drafts among them."""
    return [part for part in as_objects(dig(candidate, "content", "parts")) if dig(part, "thought") is not True]


def _image_parts(candidate: Json) -> list[Json]:
    return [part for part in _parts(candidate) if dig(part, "inlineData", "data") is not None]


def _stored_at(candidates: Sequence[Json]) -> str | None:
    """Return the URI of an image that Vertex, or a gateway, put into a bucket instead of the reply. (api: 8.3)"""
    uris = [as_text(dig(part, "fileData", "fileUri")) for candidate in candidates for part in _parts(candidate)]
    return next(filter(None, uris), None)


def _comment(candidate: Json) -> str | None:
    """Return the model's text beside or instead of an image."""
    return " ".join(words for part in _parts(candidate) if (words := as_text(dig(part, "text")))) or None


def _read_image(candidate: Json, part: Json, *, received: int) -> ReceivedImage | None:
    data = image_bytes(dig(part, "inlineData", "data"))
    if data is None:
        return None
    note = _comment(candidate)
    if received > 1:
        more = f"the service sent {received} images, one was requested: the others are kept in quarantine"
        note = f"{note}; {more}" if note else more
    return ReceivedImage(
        data,
        mime_type=as_text(dig(part, "inlineData", "mimeType")) or "application/octet-stream",
        finish_reason=_finish_reason(candidate),
        safety=_safety(candidate),
        note=shorten(note) if note else None,
    )


def _finish_reason(candidate: Json) -> str | None:
    """Return the reason as the enum spells it; some gateways prefix it with the enum's name."""
    reason = enum_name(dig(candidate, "finishReason"))
    return reason.removeprefix("FINISH_REASON_") if reason else None


def _block_reason(feedback: object) -> str | None:
    """Return why the prompt was blocked: the reason, else the category of a rating that blocked it."""
    reason = enum_name(dig(feedback, "blockReason"))
    if reason:
        return reason.removeprefix("BLOCKED_REASON_").removeprefix("BLOCK_REASON_")
    blocked = [rating for rating in as_objects(dig(feedback, "safetyRatings")) if dig(rating, "blocked") is True]
    return (enum_name(dig(blocked[0], "category")) or "SAFETY") if blocked else None


def _read_no_image(answer: Json, candidate: Json) -> NoImage:
    feedback = dig(answer, "promptFeedback")
    if block := _block_reason(feedback):
        reason = as_text(dig(feedback, "blockReasonMessage")) or f"the prompt was blocked: {block}"
        return filtered_sample(reason, stage="input", category=block, safety=_safety(feedback))
    finish = _finish_reason(candidate)
    messages = filter(None, (as_text(dig(candidate, "finishMessage")), _comment(candidate)))
    words = " ".join(messages) or as_text(dig(feedback, "blockReasonMessage"))
    reason = words or f"no image came, finish reason {finish or 'not given'}"
    safety = _safety(candidate)
    if finish in _FILTERED:
        return filtered_sample(reason, stage="output", finish_reason=finish, safety=safety)
    codes = support_codes(reason)
    return NoImage(
        "failed",
        kind="no_image",
        reason=shorten(reason),
        category=categories(codes),
        codes=codes,
        finish_reason=finish,
        safety=safety,
        again=_RETRIES_BY_FINISH_REASON.get(finish or "", 1),
    )


def _safety(value: object) -> str | None:
    return json_text(dig(value, "safetyRatings"))


def _name(value: object) -> str | None:
    text = as_text(value)
    return shorten(text, 200) if text else None


def _usage(answer: Json, *, has_image: bool) -> TokenUsage | None:
    usage = dig(answer, "usageMetadata")
    if not isinstance(usage, dict):
        return None
    output = as_count(dig(usage, "candidatesTokenCount"))
    details = [part for part in as_objects(dig(usage, "candidatesTokensDetails")) if enum_name(dig(part, "modality"))]
    image = sum(as_count(dig(part, "tokenCount")) for part in details if enum_name(dig(part, "modality")) == "IMAGE")
    if not details:
        image = output if has_image else 0
    return TokenUsage(
        prompt=as_count(dig(usage, "promptTokenCount")),
        image=image,
        text=max(output - image, 0) + as_count(dig(usage, "thoughtsTokenCount")),
    )
