"""Reads the requests of the `:predict` dialect and writes its replies (api: 2, 3)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pybase64

from imagen_batch.simulator.api.http_reply_and_error_json import Json, Refused, invalid
from imagen_batch.simulator.api.models.served_models import Model
from imagen_batch.simulator.api.parsed_request import Call, ValidRequest
from imagen_batch.simulator.api.schema import (
    Check,
    flag,
    items,
    labels,
    number,
    one_of,
    refused_field,
    table,
    text,
    whole,
)

_NOT_DRAWN = {
    "sampleCount",
    "includeRaiReason",
    "includeSafetyAttributes",
    "outputOptions",
}  # do not change the image


def read(body: Any, call: Call, *, model: Model, first: int) -> ValidRequest:
    """Parse a JSON body. Raises Refused."""
    fields = _body(call, model)(body, "")
    prompt = _one_prompt(fields.get("instances", []))
    chosen: dict[str, Any] = fields.get("parameters", {})
    _check_combinations(chosen, call)
    output = chosen.get("outputOptions", {})
    return ValidRequest(
        "predict",
        model,
        prompt,
        chosen.get("aspectRatio", "1:1"),
        chosen.get("sampleImageSize", "1K"),
        first=first,
        count=chosen.get("sampleCount", model.max_samples),
        seed=chosen.get("seed"),
        mime_type=output.get("mimeType", "image/png"),
        quality=output.get("compressionQuality", 75),
        parameters=json.dumps({k: v for k, v in chosen.items() if k not in _NOT_DRAWN}, sort_keys=True),
        reasons=chosen.get("includeRaiReason", False),
        safety=chosen.get("includeSafetyAttributes", False),
        rewrite=chosen.get("enhancePrompt", False),
    )


def write(request: ValidRequest, call: Call, images: Sequence[bytes]) -> Json:
    """Build the reply's JSON with all images."""
    predictions = [_prediction(request, data) for data in images]
    if request.safety:
        predictions.append({"contentType": "Positive Prompt", "safetyAttributes": _attributes(0.2)})
    return {"predictions": predictions, **({"deployedModelId": "simulator"} if call.vertex else {})}


def _body(call: Call, model: Model) -> Check:
    return table(
        {
            "instances": items(table({"prompt": text})),
            "parameters": table(_parameters(call, model)),
            "labels": labels,
        }
    )


def _parameters(call: Call, model: Model) -> dict[str, Check]:
    blocks = ["block_low_and_above", "block_medium_and_above", "block_only_high"]
    return {
        "sampleCount": whole(1, model.max_samples),
        "aspectRatio": one_of(*model.shapes),
        "sampleImageSize": _size(model),
        "personGeneration": one_of("dont_allow", "allow_adult", "allow_all", fold=True),
        "guidanceScale": number,
        "safetySetting": one_of(*blocks, *(["block_none"] if call.vertex else []), fold=True),
        "language": one_of("auto", "en", "ja", "ko", "hi", "zh", "pt", "es"),
        "includeSafetyAttributes": flag,
        "includeRaiReason": flag,
        "outputOptions": table({"mimeType": one_of("image/png", "image/jpeg"), "compressionQuality": whole(0, 100)}),
        "negativePrompt": text,
        "seed": whole(0, 2**32 - 1),
        "addWatermark": flag,
        "enhancePrompt": flag,
        "storageUri": refused_field("the simulator has no Cloud Storage."),
    }


def _size(model: Model) -> Check:
    if not model.sizes:
        return refused_field("image size is not supported for this model.")

    def check(value: Any, where: str) -> str:
        size = text(value, where).upper()
        if size not in model.sizes:
            raise Refused(invalid(f"Image size {value} is not supported for this model.", field=where))
        return size

    return check


def _one_prompt(instances: list[dict[str, str]]) -> str:
    if len(instances) != 1:
        raise Refused(invalid(f"Expected exactly one instance, got {len(instances)}.", field="instances"))
    prompt = instances[0].get("prompt", "")
    if not prompt.strip():
        raise Refused(invalid("Prompt is required.", field="instances[0].prompt"))
    return prompt


def _check_combinations(chosen: dict[str, Any], call: Call) -> None:
    output = chosen.get("outputOptions", {})
    if "compressionQuality" in output and output.get("mimeType") != "image/jpeg":
        raise Refused(invalid("compressionQuality needs mimeType image/jpeg.", field="parameters.outputOptions"))
    if call.vertex and "seed" in chosen and chosen.get("addWatermark", True):
        raise Refused(invalid("Seed is not supported when watermark is enabled.", field="parameters.seed"))


def _prediction(request: ValidRequest, data: bytes) -> Json:
    rewritten = {"prompt": f"{request.prompt}, in soft light"} if request.rewrite else {}
    safety = {"safetyAttributes": _attributes(0.1)} if request.safety else {}
    encoded = pybase64.b64encode_as_string(data)
    return {"mimeType": request.mime_type, "bytesBase64Encoded": encoded, **rewritten, **safety}


def _attributes(score: float) -> Json:
    return {
        "categories": ["Death, Harm & Tragedy", "Firearms & Weapons", "Violence"],
        "scores": [score, 0.1, 0.1],
    }
