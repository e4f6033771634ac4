"""How does Imagen's `:predict` ask for pictures, and what does its reply hold? (api: 2, 3)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from imagen_batch.providers.wire.errors import read_error
from imagen_batch.providers.wire.image_text import image_bytes
from imagen_batch.providers.wire.json_body import dig, has_error, json_text, objects, parse_answer, text, word
from imagen_batch.providers.wire.option_fields import require_unset, set_fields
from imagen_batch.providers.wire.support_codes import is_bare, withheld
from imagen_batch.records import ImageRequest, NoImage, Picture, Reply

name: Final = "predict"
verb: Final = "predict"

# api: 2. Labels have a place of their own, beside the parameters.
_PARAMETERS = {
    "aspect_ratio": "aspectRatio",
    "image_size": "sampleImageSize",
    "person_generation": "personGeneration",
    "negative_prompt": "negativePrompt",
    "seed": "seed",  # Vertex wants addWatermark false beside it; nothing is added here that was not asked for
    "guidance_scale": "guidanceScale",
    "safety_setting": "safetySetting",
    "language": "language",
    "include_safety_attributes": "includeSafetyAttributes",
    "add_watermark": "addWatermark",
    "enhance_prompt": "enhancePrompt",
}
_OUTPUT_OPTIONS = {"output_mime_type": "mimeType", "compression_quality": "compressionQuality"}
_UNSPOKEN = ("safety_settings", "thinking_level", "store")

# api: 3.1. An answer has at least one of these, or nothing at all.
_KNOWN = ("predictions", "deployedModelId", "model", "modelDisplayName", "modelVersionId", "metadata")

_REMOVED_SILENTLY = withheld("removed by the service without a reason", stage="output")


def encode(request: ImageRequest, *, vertex: bool) -> dict[str, object]:  # noqa: ARG001 - the same on both
    """The body to post. What is not set is not sent; the reason of a refusal is always asked for."""
    options = request.options
    require_unset(options, _UNSPOKEN, speaker=name)
    parameters: dict[str, object] = {"sampleCount": request.samples, **set_fields(options, _PARAMETERS)}
    if output := set_fields(options, _OUTPUT_OPTIONS):
        parameters["outputOptions"] = output
    parameters["includeRaiReason"] = True
    body: dict[str, object] = {"instances": [{"prompt": request.prompt}], "parameters": parameters}
    if options.labels is not None:
        body["labels"] = dict(options.labels)
    return body


def decode(body: bytes, *, asked: int, http_status: int = 200) -> Reply:
    """What became of the `asked` samples. Items are told apart by their keys, never by their position.

    Pictures and refusals take the samples in the order they came. The last refusal in words also speaks for
    every sample that is then still without anything. No word at all: the service removed it silently.
    """
    answer = parse_answer(body, known=_KNOWN, http_status=http_status)
    predictions = dig(answer, "predictions")
    items: list[object] = predictions if isinstance(predictions, list) else [*objects(predictions)]
    if has_error(answer) and not items:
        return read_error(http_status, {}, body, asked=asked)
    found = [sample for item in items if (sample := _read_item(item)) is not None]
    prompt_safety = next((_safety(item) for item in items if _is_about_the_prompt(item)), None)
    seated = _assign_samples(found, asked=asked)
    spare = tuple(sample for sample in seated[asked:] if isinstance(sample, Picture))
    samples = _mention(len(seated), seated[:asked]) if spare else seated
    return Reply(samples, http_status=http_status, prompt_safety=prompt_safety, spare=spare)


def _read_item(item: object) -> Picture | NoImage | None:
    encoded = dig(item, "bytesBase64Encoded")
    if encoded:
        return _read_picture(item, encoded)
    if reason := _reason(item):
        return withheld(reason, stage="output", safety=_safety(item))
    if encoded is not None:
        return _read_picture(item, encoded)
    if uri := text(dig(item, "gcsUri")):
        return NoImage("failed", kind="no_image", reason=f"the service stored the picture at {uri}")
    return None


def _read_picture(item: object, encoded: object) -> Picture | NoImage:
    data = image_bytes(encoded)
    if data is None:
        return NoImage("failed", kind="bad_base64", reason="the picture came damaged", again=1)
    mime_type = text(dig(item, "mimeType")) or "application/octet-stream"
    return Picture(data, mime_type, safety=_safety(item), note=text(dig(item, "prompt")))


def _reason(item: object) -> str | None:
    reason = dig(item, "raiFilteredReason") if isinstance(item, dict) else item
    # An old form is the support code alone, perhaps as a number.
    said = str(reason) if type(reason) is int else text(reason)
    return said if word(said) else None


def _is_about_the_prompt(item: object) -> bool:
    return dig(item, "contentType") == "Positive Prompt"


def _safety(item: object) -> str | None:
    return json_text(dig(item, "safetyAttributes"))


def _assign_samples(found: Sequence[Picture | NoImage], *, asked: int) -> tuple[Picture | NoImage, ...]:
    room = asked - sum(isinstance(sample, Picture) for sample in found)
    seated: list[Picture | NoImage] = []
    for sample in found:
        if isinstance(sample, Picture):
            seated.append(sample)
        elif room > 0:
            seated.append(sample)
            room -= 1
    return (*seated, *[_default_refusal(found)] * room)


def _default_refusal(found: Sequence[Picture | NoImage]) -> NoImage:
    words = [it for it in found if isinstance(it, NoImage) and it.outcome == "filtered" and not is_bare(it.reason)]
    return words[-1] if words else _REMOVED_SILENTLY


def _mention(came: int, samples: tuple[Picture | NoImage, ...]) -> tuple[Picture | NoImage, ...]:
    """The samples, with a note at the last that more pictures came, and were perhaps billed."""
    last = samples[-1]
    if not isinstance(last, Picture):
        return samples
    said = f"the service sent {came} pictures, {len(samples)} were asked for: the others are kept aside"
    return (*samples[:-1], replace(last, note=f"{last.note}; {said}" if last.note else said))
