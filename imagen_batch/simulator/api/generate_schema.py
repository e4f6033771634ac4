"""Defines the fields that a `:generateContent` request may have, on either host.

Sources: aiplatform's discovery document, revision 20261106, for Vertex; google-genai 3.6.1 and (api: 8) for the
Gemini API. A field of only one host is unknown to the other.
"""

from __future__ import annotations

from typing import Any

from imagen_batch.simulator.api.http_reply_and_error_json import Refused, invalid
from imagen_batch.simulator.api.input_images import decode_base64, is_image
from imagen_batch.simulator.api.models.served_models import Model
from imagen_batch.simulator.api.parsed_request import Call
from imagen_batch.simulator.api.schema import (
    Check,
    anything,
    flag,
    items,
    labels,
    mismatch,
    number,
    one_of,
    refused_field,
    table,
    text,
    whole,
)

_HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY", "JAILBREAK")
_HARMS_ON_VERTEX = ("IMAGE_HATE", "IMAGE_DANGEROUS_CONTENT", "IMAGE_HARASSMENT", "IMAGE_SEXUALLY_EXPLICIT")
_THRESHOLDS = ("OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE")
_TIERS = ("standard", "flex", "priority")
_RESOLUTIONS = tuple(f"MEDIA_RESOLUTION_{size}" for size in ("LOW", "MEDIUM", "HIGH", "ULTRA_HIGH"))
_REFERENCE_TYPES = ("png", "jpeg", "webp", "heic", "heif")  # (api: 8.1)
_MAX_REFERENCES = 14


def body_check(call: Call, model: Model) -> Check:
    """Return the check of a whole body."""
    content = table({"role": one_of("user", "model"), "parts": items(_part())}, snake=True)
    harms = _HARMS + (_HARMS_ON_VERTEX if call.vertex else ())
    harm = one_of(*(f"HARM_CATEGORY_{name}" for name in harms))
    method: dict[str, Check] = {"method": one_of("SEVERITY", "PROBABILITY")} if call.vertex else {}
    fields: dict[str, Check] = {
        "contents": _contents(content),
        "systemInstruction": content,
        "generationConfig": table(_generation(call, model), snake=True),
        "safetySettings": items(table({"category": harm, "threshold": one_of(*_THRESHOLDS), **method})),
        "tools": items(table({"googleSearch": anything}, snake=True)),
        "labels": labels,
    }
    if call.vertex:
        return table({**fields, "outputConfig": table({"outputUriPrefix": text}, snake=True)}, snake=True)
    return table({**fields, "store": flag, "serviceTier": one_of(*_TIERS, fold=True)}, snake=True)


def _part() -> Check:
    resolution = table({"level": one_of(*_RESOLUTIONS), "numTokens": whole(1, 65_536)}, snake=True)
    return table(
        {
            "text": text,
            "inlineData": _inline_image,
            "fileData": table({"mimeType": _image_type, "fileUri": text, "displayName": text}, snake=True),
            "thought": flag,
            "thoughtSignature": _base64,
            "mediaResolution": resolution,
        },
        snake=True,
    )


def _base64(value: Any, where: str) -> str:
    """Check bytes in proto JSON: either alphabet, padded or not."""
    written = text(value, where)
    try:
        decode_base64(written)
    except ValueError:
        raise mismatch(where, f"{written:.40}", "base64") from None
    return written


def _image_type(value: Any, where: str) -> str:
    name = text(value, where)
    if name.lower() not in {f"image/{known}" for known in _REFERENCE_TYPES}:
        raise Refused(invalid(f"Unsupported MIME type: {name:.60}", field=where))
    return name.lower()


_INLINE = table({"mimeType": _image_type, "data": _base64, "displayName": text}, snake=True)


def _inline_image(value: Any, where: str) -> dict[str, Any]:
    """Check that an image is whole and of the type that its part states, as the service does."""
    part: dict[str, Any] = _INLINE(value, where)
    if not part.get("mimeType") or not is_image(decode_base64(part.get("data", "")), part["mimeType"]):
        raise Refused(invalid("Provided image is not valid.", field=where))
    return part


def _contents(content: Check) -> Check:
    """Check the turns of a conversation and limit their reference images."""
    check_items = items(content)

    def check(value: Any, where: str) -> list[Any]:
        contents: list[Any] = check_items(value, where)
        parts = [part for turn in contents for part in turn.get("parts", [])]
        if sum("inlineData" in part or "fileData" in part for part in parts) > _MAX_REFERENCES:
            raise Refused(invalid(f"At most {_MAX_REFERENCES} images are supported as input.", field=where))
        return contents

    return check


def _generation(call: Call, model: Model) -> dict[str, Check]:
    return {
        "responseModalities": items(one_of("TEXT", "IMAGE")),
        "responseMimeType": one_of("text/plain"),
        "imageConfig": table(_image(call, model), snake=True),
        "thinkingConfig": table(_thinking(call, model), snake=True),
        "mediaResolution": one_of(*_RESOLUTIONS),
        "candidateCount": _one_candidate,
        "seed": whole(-(2**31), 2**31 - 1),
        "maxOutputTokens": whole(1, 32_768),
        "stopSequences": items(text),
        "temperature": number,
        "topP": number,
        "topK": number,
    }


def _image(call: Call, model: Model) -> dict[str, Check]:
    common: dict[str, Check] = {"aspectRatio": one_of(*model.shapes), "imageSize": _size(model)}
    if not call.vertex:
        return common
    output = {"mimeType": one_of("image/png", "image/jpeg"), "compressionQuality": whole(0, 100)}
    return {
        **common,
        "personGeneration": one_of("ALLOW_ALL", "ALLOW_ADULT", "ALLOW_NONE"),
        "prominentPeople": one_of("BLOCK_PROMINENT_PEOPLE", "ALLOW_PROMINENT_PEOPLE"),
        "imageOutputOptions": table(output, snake=True),
    }


def _size(model: Model) -> Check:
    def check(value: Any, where: str) -> str:
        size = text(value, where)
        if size not in model.sizes:
            raise Refused(invalid(f"Image size {size} is not supported for this model.", field=where))
        return size

    return check


def _thinking(call: Call, model: Model) -> dict[str, Check]:
    level = refused_field("thinking level is not supported for this model.")
    if model.thinking:
        known = [name for name in model.thinking if not (call.vertex and name == "XHIGH")]
        level = one_of(*known, fold=True)
    budget = whole(-1, 32_768) if model.thinks else refused_field("thinking is not supported for this model.")
    return {"thinkingLevel": level, "thinkingBudget": budget, "includeThoughts": flag}


def _one_candidate(value: Any, where: str) -> int:
    if value != 1:
        raise Refused(invalid("Multiple candidates is not enabled for this model", field=where))
    return 1
