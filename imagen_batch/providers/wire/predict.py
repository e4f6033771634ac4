"""The `:predict` dialect of Imagen: writes its requests and reads its replies. (api: 2, 3)"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.providers.wire.decode_image import image_bytes
from imagen_batch.providers.wire.lenient_json import (
    as_objects,
    as_text,
    dig,
    enum_name,
    has_error,
    json_text,
    parse_answer,
)
from imagen_batch.providers.wire.option_fields import OUTPUT_OPTIONS, require_unset, set_fields
from imagen_batch.providers.wire.support_codes import filtered_sample, is_code_list
from imagen_batch.records import ImageRequest, InputImage, NoImage, ReceivedImage, Reply

name: Final = "predict"
verb: Final = "predict"

# (api: 2) Labels are not among the parameters but beside them.
_PARAMETERS = {
    "aspect_ratio": "aspectRatio",
    "image_size": "sampleImageSize",
    "person_generation": "personGeneration",
    "negative_prompt": "negativePrompt",
    "seed": "seed",  # Vertex requires addWatermark = false with it; the plan checks that, and nothing is added here
    "guidance_scale": "guidanceScale",
    "safety_setting": "safetySetting",
    "language": "language",
    "include_safety_attributes": "includeSafetyAttributes",
    "add_watermark": "addWatermark",
    "enhance_prompt": "enhancePrompt",
}
_UNSUPPORTED = ("safety_settings", "thinking_level", "store", "references")

# (api: 3.1) An answer has at least one of these names, or is empty.
_KNOWN = ("predictions", "deployedModelId", "model", "modelDisplayName", "modelVersionId", "metadata")

_REMOVED_SILENTLY = filtered_sample("removed by the service without a reason", stage="output")


def encode(
    request: ImageRequest,
    *,
    vertex: bool,  # noqa: ARG001 - the same on both hosts
    references: Sequence[InputImage] = (),  # noqa: ARG001 - the plan refuses them: there is no field
) -> dict[str, object]:
    """Return the body to post. Options that are not set are not sent; reasons for refusals are always requested."""
    options = request.options
    require_unset(options, _UNSUPPORTED, dialect=name)
    parameters: dict[str, object] = {"sampleCount": request.samples, **set_fields(options, _PARAMETERS)}
    if output := set_fields(options, OUTPUT_OPTIONS):
        parameters["outputOptions"] = output
    parameters["includeRaiReason"] = True
    body: dict[str, object] = {"instances": [{"prompt": request.prompt}], "parameters": parameters}
    if options.labels is not None:
        body["labels"] = dict(options.labels)
    return body


def decode(body: bytes, *, requested: int, http_status: int = 200) -> Reply:
    """Return the `requested` samples. Items are recognized by their keys, never by their position. (api: 3.2)

    Images and refusals become samples in the order in which they came. The last refusal with a reason also holds for
    every sample that is then left. Without a refusal, the service removed the rest without a reason. (api: 3.3)
    """
    answer = parse_answer(body, known=_KNOWN, http_status=http_status)
    predictions = dig(answer, "predictions")
    items: list[object] = predictions if isinstance(predictions, list) else [*as_objects(predictions)]
    if has_error(answer) and not items:
        return read_error(http_status, {}, body, requested=requested)
    received = [sample for item in items if (sample := _read_item(item)) is not None]
    prompt_safety = next((_safety(item) for item in items if _is_about_the_prompt(item)), None)
    assigned = _assign_samples(received, requested=requested)
    spare = tuple(sample for sample in assigned[requested:] if isinstance(sample, ReceivedImage))
    samples = _note_spare(len(assigned), assigned[:requested]) if spare else assigned
    return Reply(samples, http_status=http_status, prompt_safety=prompt_safety, spare=spare)


def _read_item(item: object) -> ReceivedImage | NoImage | None:
    encoded = dig(item, "bytesBase64Encoded")
    if encoded:
        return _read_image(item, encoded)
    if reason := _reason(item):
        return filtered_sample(reason, stage="output", safety=_safety(item))
    if encoded is not None:
        return _read_image(item, encoded)
    if uri := as_text(dig(item, "gcsUri")):
        return NoImage("failed", kind="no_image", reason=f"the service stored the image at {uri}")
    return None


def _read_image(item: object, encoded: object) -> ReceivedImage | NoImage:
    data = image_bytes(encoded)
    if data is None:
        return NoImage("failed", kind="bad_base64", reason="the image arrived damaged", again=1)
    mime_type = as_text(dig(item, "mimeType")) or "application/octet-stream"
    return ReceivedImage(data, mime_type, safety=_safety(item), note=as_text(dig(item, "prompt")))


def _reason(item: object) -> str | None:
    reason = dig(item, "raiFilteredReason") if isinstance(item, dict) else item
    # An older form is the support code alone, sometimes as a number.
    words = str(reason) if type(reason) is int else as_text(reason)
    return words if enum_name(words) else None


def _is_about_the_prompt(item: object) -> bool:
    return dig(item, "contentType") == "Positive Prompt"


def _safety(item: object) -> str | None:
    return json_text(dig(item, "safetyAttributes"))


def _assign_samples(
    received: Sequence[ReceivedImage | NoImage], *, requested: int
) -> tuple[ReceivedImage | NoImage, ...]:
    unfilled = requested - sum(isinstance(sample, ReceivedImage) for sample in received)
    assigned: list[ReceivedImage | NoImage] = []
    for sample in received:
        if isinstance(sample, ReceivedImage):
            assigned.append(sample)
        elif unfilled > 0:
            assigned.append(sample)
            unfilled -= 1
    return (*assigned, *[_default_refusal(received)] * unfilled)


def _default_refusal(received: Sequence[ReceivedImage | NoImage]) -> NoImage:
    """Return the refusal for samples without an item of their own."""
    refusals = [sample for sample in received if isinstance(sample, NoImage) and sample.outcome == "filtered"]
    with_reason = [refusal for refusal in refusals if not is_code_list(refusal.reason)]
    return with_reason[-1] if with_reason else _REMOVED_SILENTLY


def _note_spare(received: int, samples: tuple[ReceivedImage | NoImage, ...]) -> tuple[ReceivedImage | NoImage, ...]:
    """Add a note to the last sample that more images came, which were possibly billed."""
    last = samples[-1]
    if not isinstance(last, ReceivedImage):
        return samples
    note = f"the service sent {received} images, {len(samples)} were requested: the others are kept in quarantine"
    return (*samples[:-1], replace(last, note=f"{last.note}; {note}" if last.note else note))
