"""The `:generateContent` dialect: what does a body ask for, and how does a picture answer it? (api.md 8)"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pybase64

from imagen_batch.simulator.catalogue import Model
from imagen_batch.simulator.order import Call, Order
from imagen_batch.simulator.replies import Json, Refused, invalid
from imagen_batch.simulator.schema import (
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

_HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT", "CIVIC_INTEGRITY")
_THRESHOLDS = ("OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE")
_MOST_TOKENS = 131_072
_THOUGHT_TOKENS = 210


def read(body: Any, call: Call, *, model: Model, first: int) -> Order:
    """The order in a parsed body. Raises Refused."""
    fields = _body(call, model)(body, "")
    prompt = _prompt(fields.get("contents", []))
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
        parameters=json.dumps(config, sort_keys=True),
        thoughts=config.get("thinkingConfig", {}).get("includeThoughts", False),
    )


def write(order: Order, call: Call, pictures: Sequence[bytes]) -> Json:  # noqa: ARG001 - as predict's
    """The reply's JSON. Asked for thoughts, it begins with a plan and a draft of the picture."""
    part = image_part(order, pictures[0])
    thoughts = [{"text": "A short plan.", "thought": True}, {**part, "thought": True}] if order.thoughts else []
    signature = {"thoughtSignature": "c2ltdWxhdG9y"} if order.model.thinks else {}
    content = {"role": "model", "parts": [*thoughts, {**part, **signature}]}
    candidate = {"index": 0, "finishReason": "STOP", "content": content, "safetyRatings": _ratings()}
    return envelope(order, [candidate], image_tokens=(order.model.tokens or {})[order.image_size])


def envelope(order: Order, candidates: list[Json], *, image_tokens: int) -> Json:
    """What stands around the candidates: tokens, version, id."""
    fingerprint = f"{order.prompt}\0{order.parameters}\0{order.first}".encode("utf-8", "surrogatepass")
    return {
        "candidates": candidates,
        "usageMetadata": usage(order, image_tokens=image_tokens),
        "modelVersion": order.model.id,
        "responseId": hashlib.sha256(fingerprint).hexdigest()[:22],
    }


def usage(order: Order, *, image_tokens: int) -> Json:
    """Tokens as api.md 7 and 8.3 count them; the prompt's are an estimate."""
    prompt = prompt_tokens(order.prompt)
    thoughts = _THOUGHT_TOKENS if order.model.thinks else 0
    counts: Json = {"promptTokenCount": prompt}
    if image_tokens:
        counts["candidatesTokenCount"] = image_tokens
        counts["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": image_tokens}]
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    counts["totalTokenCount"] = prompt + image_tokens + thoughts
    counts["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt}]
    return counts


def prompt_tokens(prompt: str) -> int:
    """About four bytes make a token."""
    return -(-len(prompt.encode("utf-8", "surrogatepass")) // 4)


def image_part(order: Order, data: bytes) -> Json:
    """One picture as a part of the content."""
    return {"inlineData": {"mimeType": order.mime_type, "data": pybase64.b64encode_as_string(data)}}


def _body(call: Call, model: Model) -> Check:
    part = table({"text": text, "inlineData": refused_field("the simulator takes no reference images.")}, snake=True)
    content = table({"role": one_of("user", "model"), "parts": items(part)})
    harm = one_of(*(f"HARM_CATEGORY_{name}" for name in _HARMS))
    fields: dict[str, Check] = {
        "contents": items(content),
        "systemInstruction": content,
        "generationConfig": table(_generation(call, model), snake=True),
        "safetySettings": items(table({"category": harm, "threshold": one_of(*_THRESHOLDS)})),
        "store": flag,
    }
    return table({**fields, **({"labels": labels} if call.vertex else {})}, snake=True)


def _generation(call: Call, model: Model) -> dict[str, Check]:
    return {
        "responseModalities": items(one_of("TEXT", "IMAGE")),
        "responseMimeType": one_of("text/plain"),
        "imageConfig": table(_image(call, model), snake=True),
        "thinkingConfig": table({"thinkingLevel": _thinking(model), "includeThoughts": flag}, snake=True),
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
    people = one_of("ALLOW_ALL", "ALLOW_ADULT", "ALLOW_NONE")
    return {**common, "personGeneration": people, "imageOutputOptions": table(output, snake=True)}


def _size(model: Model) -> Check:
    def check(value: Any, where: str) -> str:
        size = text(value, where)
        if size not in model.sizes:
            raise Refused(invalid(f"Image size {size} is not supported for this model.", field=where))
        return size

    return check


def _thinking(model: Model) -> Check:
    if not model.thinking:
        return refused_field("thinking level is not supported for this model.")
    return one_of(*model.thinking, fold=True)


def _one_candidate(value: Any, where: str) -> int:
    if value != 1:
        raise Refused(invalid("Multiple candidates is not enabled for this model", field=where))
    return 1


def _prompt(contents: list[dict[str, Any]]) -> str:
    prompt = "".join(part.get("text", "") for content in contents for part in content.get("parts", []))
    if not prompt.strip():
        raise Refused(invalid("* GenerateContentRequest.contents: contents is not specified", field="contents"))
    tokens = prompt_tokens(prompt)
    if tokens > _MOST_TOKENS:
        message = f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({_MOST_TOKENS})."
        raise Refused(invalid(message, field="contents"))
    return prompt


def _ratings() -> list[Json]:
    return [{"category": f"HARM_CATEGORY_{name}", "probability": "NEGLIGIBLE"} for name in _HARMS[:4]]
