"""How does Gemini's `:generateContent` ask for a picture, and what does its reply hold? (api: 8)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imagen_batch.providers.wire.errors import read_error
from imagen_batch.providers.wire.image_text import image_bytes
from imagen_batch.providers.wire.json_body import (
    Json,
    count,
    dig,
    has_error,
    json_text,
    objects,
    parse_answer,
    short,
    text,
    word,
)
from imagen_batch.providers.wire.option_fields import require_unset, set_fields
from imagen_batch.providers.wire.support_codes import categories, support_codes, withheld
from imagen_batch.records import ImageRequest, NoImage, Options, Picture, Reply, TokenUsage

name: Final = "generate_content"
verb: Final = "generateContent"

# api: 9
_UNSUPPORTED = (
    "guidance_scale",
    "safety_setting",
    "language",
    "include_safety_attributes",
    "add_watermark",
    "enhance_prompt",
)
_UNSPOKEN_OFF_VERTEX = ("output_mime_type", "compression_quality", "labels")
_PERSON_GENERATION = {"dont_allow": "ALLOW_NONE", "allow_adult": "ALLOW_ADULT", "allow_all": "ALLOW_ALL"}
_IMAGE_CONFIG = {"aspect_ratio": "aspectRatio", "image_size": "imageSize"}
_OUTPUT_OPTIONS = {"output_mime_type": "mimeType", "compression_quality": "compressionQuality"}

# api: 8.3. An answer has at least one of these, or nothing at all.
_KNOWN = ("candidates", "promptFeedback", "usageMetadata", "modelVersion", "responseId")

# api: 8.4. Refused prompts are not asked again.
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
        "MODEL_ARMOR",  # recorded: "The response violated Responsible AI Safety settings ..." (api-update: W9)
    }
)

# api: 8.4. How many more times asking may help after no picture came. All others, also those unknown: once.
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

_NEVER_ASKED = NoImage("failed", kind="no_image", reason="this service makes one picture per request")


def encode(request: ImageRequest, *, vertex: bool) -> dict[str, object]:
    """The body to post, for one picture. What is not set is not sent.

    There is no field for a negative prompt: it goes into the prompt. Off Vertex there is none for
    person_generation, and on Vertex there is none for store: they are left out.
    """
    options = request.options
    require_unset(options, _UNSUPPORTED if vertex else _UNSUPPORTED + _UNSPOKEN_OFF_VERTEX, speaker=name)
    prompt = prompt_without(request.prompt, options.negative_prompt)
    body: dict[str, object] = {
        "contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "generationConfig": _generation_config(options, vertex=vertex),
    }
    if options.safety_settings is not None:
        body["safetySettings"] = [{"category": c, "threshold": t} for c, t in options.safety_settings]
    if options.store is not None and not vertex:  # aiplatform's discovery document, 2026-11-06: no such field
        body["store"] = options.store
    if options.labels is not None:
        body["labels"] = dict(options.labels)
    return body


def prompt_without(prompt: str, unwanted: str | None) -> str:
    """The prompt, and what the picture is to be without."""
    return f"{prompt}\n\nWithout: {unwanted}" if unwanted else prompt


def decode(body: bytes, *, asked: int, http_status: int = 200) -> Reply:
    """What became of the sample. A picture counts, whatever the finish reason; of several the last one."""
    answer = parse_answer(body, known=_KNOWN, http_status=http_status)
    candidates = objects(dig(answer, "candidates"))
    if has_error(answer) and not candidates:
        return read_error(http_status, {}, body, asked=asked)
    candidate = next((each for each in candidates if _image_parts(each)), candidates[0] if candidates else {})
    images = _image_parts(candidate)
    pictures = [picture for part in images if (picture := _read_picture(candidate, part))]
    sample: Picture | NoImage
    if pictures:
        sample = pictures[-1]
    elif images:
        sample = NoImage("failed", kind="bad_base64", reason="the picture came damaged", again=1)
    elif uri := _stored_at(candidates):
        sample = NoImage("failed", kind="no_image", reason=f"the service stored the picture at {short(uri)}")
    else:
        sample = _read_absence(answer, candidate)
    return Reply(
        samples=(sample, *[_NEVER_ASKED if images else sample] * (asked - 1)),
        http_status=http_status,
        usage=_usage(answer, pictured=bool(images)),
        model_version=text(dig(answer, "modelVersion")),
        spare=tuple(pictures[:-1]),
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
    if output := set_fields(options, _OUTPUT_OPTIONS):
        config["imageOutputOptions"] = output
    return config


def _parts(candidate: Json) -> list[Json]:
    """The parts of the answer itself. Thoughts, and the drafts among them, are none."""
    return [part for part in objects(dig(candidate, "content", "parts")) if dig(part, "thought") is not True]


def _image_parts(candidate: Json) -> list[Json]:
    return [part for part in _parts(candidate) if dig(part, "inlineData", "data") is not None]


def _stored_at(candidates: Sequence[Json]) -> str | None:
    """Where a picture lies that Vertex, or a gateway, put into a bucket instead of the reply (api-update: W10)."""
    uris = [text(dig(part, "fileData", "fileUri")) for candidate in candidates for part in _parts(candidate)]
    return next(filter(None, uris), None)


def _remark(candidate: Json) -> str | None:
    """The model's words beside or in place of a picture."""
    return " ".join(words for part in _parts(candidate) if (words := text(dig(part, "text")))) or None


def _read_picture(candidate: Json, part: Json) -> Picture | None:
    data = image_bytes(dig(part, "inlineData", "data"))
    if data is None:
        return None
    remark, came = _remark(candidate), len(_image_parts(candidate))
    if came > 1:
        said = f"the service sent {came} pictures, one was asked for: the others are kept aside"
        remark = f"{remark}; {said}" if remark else said
    return Picture(
        data,
        mime_type=text(dig(part, "inlineData", "mimeType")) or "application/octet-stream",
        finish_reason=_finish_reason(candidate),
        safety=_safety(candidate),
        note=short(remark) if remark else None,
    )


def _finish_reason(candidate: Json) -> str | None:
    """The reason as the enum spells it; some gateways put the enum's name before it."""
    reason = word(dig(candidate, "finishReason"))
    return reason.removeprefix("FINISH_REASON_") if reason else None


def _block_reason(feedback: object) -> str | None:
    """Why the prompt was blocked. Without a reason, a rating that blocked it says so."""
    reason = word(dig(feedback, "blockReason"))
    if reason:
        return reason.removeprefix("BLOCKED_REASON_").removeprefix("BLOCK_REASON_")
    blocked = [rating for rating in objects(dig(feedback, "safetyRatings")) if dig(rating, "blocked") is True]
    return (word(dig(blocked[0], "category")) or "SAFETY") if blocked else None


def _read_absence(answer: Json, candidate: Json) -> NoImage:
    feedback = dig(answer, "promptFeedback")
    if block := _block_reason(feedback):
        reason = text(dig(feedback, "blockReasonMessage")) or f"the prompt was blocked: {block}"
        return withheld(reason, stage="input", category=block, safety=_safety(feedback))
    finish = _finish_reason(candidate)
    words = [said for said in (text(dig(candidate, "finishMessage")), _remark(candidate)) if said]
    words = words or [said for said in (text(dig(feedback, "blockReasonMessage")),) if said]
    reason = " ".join(words) or f"no picture came, finish reason {finish or 'not given'}"
    safety = _safety(candidate)
    if finish in _FILTERED:
        return withheld(reason, stage="output", finish_reason=finish, safety=safety)
    codes = support_codes(reason)
    return NoImage(
        "failed",
        kind="no_image",
        reason=short(reason),
        category=categories(codes),
        codes=codes,
        finish_reason=finish,
        safety=safety,
        again=_RETRIES_BY_FINISH_REASON.get(finish or "", 1),
    )


def _safety(value: object) -> str | None:
    return json_text(dig(value, "safetyRatings"))


def _usage(answer: Json, *, pictured: bool) -> TokenUsage | None:
    used = dig(answer, "usageMetadata")
    if not isinstance(used, dict):
        return None
    made = count(dig(used, "candidatesTokenCount"))
    details = [part for part in objects(dig(used, "candidatesTokensDetails")) if word(dig(part, "modality"))]
    image = sum(count(dig(part, "tokenCount")) for part in details if word(dig(part, "modality")) == "IMAGE")
    if not details:
        image = made if pictured else 0
    return TokenUsage(
        prompt=count(dig(used, "promptTokenCount")),
        image=image,
        text=max(made - image, 0) + count(dig(used, "thoughtsTokenCount")),
    )
