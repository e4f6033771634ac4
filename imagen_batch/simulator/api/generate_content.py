"""Reads the requests of the `:generateContent` dialect and writes its replies (api.md 8, api-update.md 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pybase64

from imagen_batch.simulator.api.catalogue import Model
from imagen_batch.simulator.api.generate_schema import body_check
from imagen_batch.simulator.api.replies import Json, Refused, invalid
from imagen_batch.simulator.api.requests import Call, Order

_MOST_TOKENS = 131_072
_THOUGHT_TOKENS = 210
_TEXT_TOKENS = 96  # recorded beside the 1120 of a picture
_RATED = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_SIGNATURE = "c2ltdWxhdG9y"


def read(body: Any, call: Call, *, model: Model, first: int) -> Order:
    """The order in a parsed body. Raises Refused."""
    fields = body_check(call, model)(body, "")
    parts = [part for content in fields.get("contents", []) for part in _user_parts(content)]
    prompt = _prompt(parts)
    references = [part for part in parts if "inlineData" in part or "fileData" in part]
    config: dict[str, Any] = fields.get("generationConfig", {})
    image: dict[str, Any] = config.get("imageConfig", {})
    output: dict[str, Any] = image.get("imageOutputOptions", {})
    return Order(
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
        thoughts=config.get("thinkingConfig", {}).get("includeThoughts", False),
    )


def write(order: Order, call: Call, pictures: Sequence[bytes]) -> Json:  # noqa: ARG001 - as predict's
    """The reply's JSON. Asked for thoughts, it begins with a plan and a draft of the picture."""
    part = image_part(order, pictures[0])
    thoughts = [{"text": "A short plan.", "thought": True}, {**part, "thought": True}] if order.thoughts else []
    signature = {"thoughtSignature": _SIGNATURE} if order.model.thinks else {}
    content = {"role": "model", "parts": [*thoughts, {**part, **signature}]}
    index = {} if order.vertex else {"index": 0}
    candidate = {**index, "finishReason": "STOP", "content": content, "safetyRatings": _ratings()}
    return envelope(order, [candidate], image_tokens=(order.model.tokens or {})[order.image_size])


def envelope(order: Order, candidates: list[Json], *, image_tokens: int) -> Json:
    """What stands around the candidates: tokens, version, id."""
    fingerprint = f"{order.prompt}\0{order.parameters}\0{order.first}".encode("utf-8", "surrogatepass")
    return {
        "candidates": candidates,
        "usageMetadata": usage(order, image_tokens=image_tokens),
        "modelVersion": order.model.id,
        **({"createTime": datetime.now(UTC).isoformat().replace("+00:00", "Z")} if order.vertex else {}),
        "responseId": hashlib.sha256(fingerprint).hexdigest()[:22],
    }


def usage(order: Order, *, image_tokens: int) -> Json:
    """Tokens as api.md 7 and 8.3 and api-update W15 count them; the prompt's are an estimate.

    Without a picture nothing but the prompt is counted: no thoughts, as recorded.
    """
    prompt, images = prompt_tokens(order.prompt), order.references * order.model.reference_tokens
    counts: Json = {"promptTokenCount": prompt + images}
    made = thoughts = 0
    if image_tokens:
        thoughts = _THOUGHT_TOKENS if order.model.thinks else 0
        made = image_tokens + (_TEXT_TOKENS if order.model.thinks else 0)
        counts["candidatesTokenCount"] = made
        counts["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": image_tokens}]
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    counts["totalTokenCount"] = prompt + images + made + thoughts
    counts["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt}]
    if images:
        counts["promptTokensDetails"].append({"modality": "IMAGE", "tokenCount": images})
    return {**counts, **_traffic(order)}


def blocked_usage(order: Order) -> Json:
    """What is counted for a prompt that was blocked: on Vertex nothing."""
    return _traffic(order) if order.vertex else usage(order, image_tokens=0)


def _traffic(order: Order) -> Json:
    return {"trafficType": "ON_DEMAND"} if order.vertex else {"serviceTier": "standard"}


def prompt_tokens(prompt: str) -> int:
    """About four bytes make a token."""
    return -(-len(prompt.encode("utf-8", "surrogatepass")) // 4)


def image_part(order: Order, data: bytes) -> Json:
    """One picture as a part of the content."""
    return {"inlineData": {"mimeType": order.mime_type, "data": pybase64.b64encode_as_string(data)}}


def _user_parts(content: Json) -> list[Json]:
    """A turn's parts, where it is the user's; what the model said before is no prompt."""
    return [part for part in content.get("parts", []) if content.get("role", "user") == "user"]


def _fingerprint(config: Json, references: list[Json]) -> str:
    """All that decides the picture besides the prompt, as JSON text."""
    if not references:
        return json.dumps(config, sort_keys=True)
    digest = hashlib.sha256(json.dumps(references, sort_keys=True).encode()).hexdigest()
    return json.dumps({**config, "references": digest}, sort_keys=True)


def _prompt(parts: list[Json]) -> str:
    prompt = "".join(part.get("text", "") for part in parts)
    if not prompt.strip():
        raise Refused(invalid("* GenerateContentRequest.contents: contents is not specified", field="contents"))
    tokens = prompt_tokens(prompt)
    if tokens > _MOST_TOKENS:
        message = f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({_MOST_TOKENS})."
        raise Refused(invalid(message, field="contents"))
    return prompt


def _ratings() -> list[Json]:
    return [{"category": f"HARM_CATEGORY_{name}", "probability": "NEGLIGIBLE"} for name in _RATED]
