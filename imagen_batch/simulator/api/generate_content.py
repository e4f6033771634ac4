"""Reads the requests of the `:generateContent` dialect and writes its replies (api: 8)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pybase64

from imagen_batch.simulator.api.generate_schema import body_check
from imagen_batch.simulator.api.http_reply_and_error_json import Json, Refused, invalid
from imagen_batch.simulator.api.input_images import inline_images
from imagen_batch.simulator.api.models.served_models import Model
from imagen_batch.simulator.api.parsed_request import Call, ValidRequest

_MAX_TOKENS = 131_072
_THOUGHT_TOKENS = 210
_TEXT_TOKENS = 96  # recorded beside the 1120 of an image
_RATED = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_SIGNATURE = "c2ltdWxhdG9y"


def read(body: Any, call: Call, *, model: Model, first: int) -> ValidRequest:
    """Parse a JSON body. Raises Refused."""
    fields = body_check(call, model)(body, "")
    # Earlier text of the model is not part of the prompt.
    turns = [content for content in fields.get("contents", []) if content.get("role", "user") == "user"]
    parts = [part for content in turns for part in content.get("parts", [])]
    prompt = _prompt(parts)
    references = [part for part in parts if "inlineData" in part or "fileData" in part]
    config: dict[str, Any] = fields.get("generationConfig", {})
    image: dict[str, Any] = config.get("imageConfig", {})
    output: dict[str, Any] = image.get("imageOutputOptions", {})
    return ValidRequest(
        "generateContent",
        model,
        prompt,
        image.get("aspectRatio", "1:1"),
        image.get("imageSize", "1K"),
        first=first,
        seed=config.get("seed"),
        mime_type=output.get("mimeType", model.mime_type),
        quality=output.get("compressionQuality", 85),
        parameters=_fingerprint(config, references),
        vertex=call.vertex,
        references=len(references),
        images=inline_images(references),
        thoughts=config.get("thinkingConfig", {}).get("includeThoughts", False),
    )


def write(request: ValidRequest, call: Call, images: Sequence[bytes]) -> Json:  # noqa: ARG001 - as predict's
    """Build the reply's JSON. If thoughts are requested, it begins with a plan and a draft of the image."""
    part = image_part(request, images[0])
    thoughts = [{"text": "A short plan.", "thought": True}, {**part, "thought": True}] if request.thoughts else []
    signature = {"thoughtSignature": _SIGNATURE} if request.model.thinks else {}
    content = {"role": "model", "parts": [*thoughts, {**part, **signature}]}
    index = {} if request.vertex else {"index": 0}
    ratings = [{"category": f"HARM_CATEGORY_{name}", "probability": "NEGLIGIBLE"} for name in _RATED]
    candidate = {**index, "finishReason": "STOP", "content": content, "safetyRatings": ratings}
    return envelope(request, [candidate], image_tokens=(request.model.tokens or {})[request.image_size])


def envelope(request: ValidRequest, candidates: list[Json], *, image_tokens: int) -> Json:
    """Build the reply around the candidates: tokens, version, id."""
    fingerprint = f"{request.prompt}\0{request.parameters}\0{request.first}".encode("utf-8", "surrogatepass")
    return {
        "candidates": candidates,
        "usageMetadata": usage(request, image_tokens=image_tokens),
        "modelVersion": request.model.id,
        **({"createTime": datetime.now(UTC).isoformat().replace("+00:00", "Z")} if request.vertex else {}),
        "responseId": hashlib.sha256(fingerprint).hexdigest()[:22],
    }


def usage(request: ValidRequest, *, image_tokens: int) -> Json:
    """Count tokens as the service does (api: 7, 8.3); the prompt's tokens are an estimate.

    Without an image only the prompt is counted, not the thoughts, as in recorded replies.
    """
    prompt, images = prompt_tokens(request.prompt), request.references * request.model.reference_tokens
    counts: Json = {"promptTokenCount": prompt + images}
    output_tokens = thoughts = 0
    if image_tokens:
        thoughts = _THOUGHT_TOKENS if request.model.thinks else 0
        output_tokens = image_tokens + (_TEXT_TOKENS if request.model.thinks else 0)
        counts["candidatesTokenCount"] = output_tokens
        counts["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": image_tokens}]
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    counts["totalTokenCount"] = prompt + images + output_tokens + thoughts
    counts["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt}]
    if images:
        counts["promptTokensDetails"].append({"modality": "IMAGE", "tokenCount": images})
    return {**counts, **_traffic(request)}


def blocked_usage(request: ValidRequest) -> Json:
    """Count the tokens of a blocked prompt: on Vertex none."""
    return _traffic(request) if request.vertex else usage(request, image_tokens=0)


def _traffic(request: ValidRequest) -> Json:
    return {"trafficType": "ON_DEMAND"} if request.vertex else {"serviceTier": "standard"}


def prompt_tokens(prompt: str) -> int:
    """Estimate the tokens of a prompt at four bytes each."""
    return -(-len(prompt.encode("utf-8", "surrogatepass")) // 4)


def image_part(request: ValidRequest, data: bytes) -> Json:
    """Return one image as a part of the content."""
    return {"inlineData": {"mimeType": request.mime_type, "data": pybase64.b64encode_as_string(data)}}


def _fingerprint(config: Json, references: list[Json]) -> str:
    """Return everything except the prompt that decides the image, as JSON text."""
    if not references:
        return json.dumps(config, sort_keys=True)
    digest = hashlib.sha256(json.dumps(references, sort_keys=True).encode()).hexdigest()
    return json.dumps({**config, "references": digest}, sort_keys=True)


def _prompt(parts: list[Json]) -> str:
    prompt = "".join(part.get("text", "") for part in parts)
    if not prompt.strip():
        raise Refused(invalid("* GenerateContentRequest.contents: contents is not specified", field="contents"))
    tokens = prompt_tokens(prompt)
    if tokens > _MAX_TOKENS:
        message = f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({_MAX_TOKENS})."
        raise Refused(invalid(message, field="contents"))
    return prompt
