"""Alters replies with status 200: images are missing, damaged or in another form. (api: 3.3, 8.4)

Each function takes a complete reply and returns a new one; it does not change its argument.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pybase64
from PIL import Image

from imagen_batch.simulator.api.generate_content import blocked_usage, envelope
from imagen_batch.simulator.api.http_reply_and_error_json import Json
from imagen_batch.simulator.api.parsed_request import ValidRequest

Options = Mapping[str, Any]
Alter = Callable[[Json, ValidRequest, Options], Json]

FINISH_REASONS = (
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "PROHIBITED_CONTENT",
    "SAFETY",
    "BLOCKLIST",
    "SPII",
    "RECITATION",
    "LANGUAGE",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "MAX_TOKENS",
    "OTHER",
    "MALFORMED_RESPONSE",
    "FINISH_REASON_UNSPECIFIED",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "MALFORMED_FUNCTION_CALL",
    "MISSING_THOUGHT_SIGNATURE",
    "ESCALATION",
    "PUP_LIMITED_DISABLED",
    "CONTINUATION",
    "MODEL_ARMOR",
)

_SENSITIVE = (
    "Unable to show generated images. All images were filtered out because they violated Google's Responsible"
    " AI practices. Try rephrasing the prompt. Support codes: {codes}"
)
_REASON = (
    "Your current safety filter threshold filtered out a generated image. You will not be charged for blocked"
    " images. Support codes: {codes}"
)
_FINISH_MESSAGE = (
    "Unable to show the generated image. The image was filtered out because it violated Google's Generative"
    " AI Prohibited Use policy. You will not be charged for blocked images. Support code(s): {codes}"
)


def partial(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Replace each of the last `count` images by a reason."""
    return _without(reply, _last(request, options), _REASON.format(codes=options["codes"]))


def partial_summary(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Replace the last `count` images by one item with their number."""
    removed = _last(request, options)
    summary = f"{len(removed)} of {request.count} images were filtered out. Support codes: {options['codes']}"
    remaining = _without(reply, removed, None)
    return {**remaining, "predictions": [*remaining["predictions"], {"raiFilteredReason": summary}]}


def partial_silent(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Remove the last `count` images without a reason."""
    return _without(reply, _last(request, options), None)


def filter_samples(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Filter samples 1..`count` of the row (0: all), in either dialect."""
    removed = {n - request.first for n in request.numbers if not options["count"] or n <= options["count"]}
    if request.verb == "predict":
        return _without(reply, removed, _REASON.format(codes=options["codes"]))
    return finish_with("IMAGE_SAFETY")(reply, request, options) if removed else reply


def all_filtered(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Replace all images by one text, or by nothing where no reason was requested."""
    if not request.reasons:
        return {}
    return {**reply, "predictions": [{"raiFilteredReason": _SENSITIVE.format(codes=options["codes"])}]}


def bare_code(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Replace every image by an item that has only digits."""
    return {**reply, "predictions": [{"raiFilteredReason": str(options["codes"])} for _ in request.numbers]}


def blocked_prompt(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Remove the candidates, as for a blocked prompt."""
    other_fields = {name: value for name, value in reply.items() if name != "candidates"}
    feedback = {"blockReason": str(options["reason"])}
    return {"promptFeedback": feedback, **other_fields, "usageMetadata": blocked_usage(request)}


def finish_with(reason: str) -> Alter:
    """Return an alteration to one empty candidate with the finish reason `reason`."""

    def alter(reply: Json, request: ValidRequest, options: Options) -> Json:  # noqa: ARG001
        message = _FINISH_MESSAGE.format(codes=options.get("codes", "42876398"))
        index = {} if request.vertex else {"index": 0}
        candidate = {**index, "content": {}, "finishReason": reason, "finishMessage": message}
        return envelope(request, [candidate], image_tokens=0)

    return alter


def text_only(reply: Json, request: ValidRequest, options: Options) -> Json:  # noqa: ARG001
    """Send STOP and text in place of the image."""
    parts = [{"text": "I can describe this scene, but I can't draw it. Shall I?"}]
    candidate = {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    return envelope(request, [candidate], image_tokens=0)


def thought_image(reply: Json, request: ValidRequest, options: Options) -> Json:  # noqa: ARG001
    """Put a plan and a draft before the image."""
    candidate = reply["candidates"][0]
    parts = candidate["content"]["parts"]
    draft = {**parts[-1], "thought": True}
    content = {"role": "model", "parts": [{"text": "A short plan.", "thought": True}, draft, *parts]}
    return {**reply, "candidates": [{**candidate, "content": content}]}


def each_image(change: Callable[[Json, str, str], Json]) -> Alter:
    """Apply `change(holder, name of its data, name of its mime type)` to every image of either dialect."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "mimeType" in value:
            return change(value, "data" if "data" in value else "bytesBase64Encoded", "mimeType")
        return {name: walk(item) for name, item in value.items()}

    def alter(reply: Json, request: ValidRequest, options: Options) -> Json:  # noqa: ARG001
        altered: Json = walk(reply)
        return altered

    return alter


def bad_base64(holder: Json, data: str, mime: str) -> Json:  # noqa: ARG001
    """Insert characters that are not base64."""
    text = holder[data]
    return {**holder, data: f"{text[: len(text) // 2]}!?*{text[len(text) // 2 + 3 :]}"}


def half_image(holder: Json, data: str, mime: str) -> Json:  # noqa: ARG001
    """Send the first half of the image's bytes as valid base64."""
    image = pybase64.b64decode(holder[data])
    return {**holder, data: pybase64.b64encode_as_string(image[: len(image) // 2])}


def lying_mime(holder: Json, data: str, mime: str) -> Json:  # noqa: ARG001
    """State PNG for a JPEG, and the reverse."""
    return {**holder, mime: "image/png" if holder[mime] == "image/jpeg" else "image/jpeg"}


def half_of_one(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Send half of the bytes of the image of sample `sample`; the others stay whole."""
    at = int(options["sample"]) - request.first
    if request.verb != "predict":
        return each_image(half_image)(reply, request, options) if at == 0 else reply
    items = list(reply["predictions"])
    if 0 <= at < len(items):
        items[at] = half_image(items[at], "bytesBase64Encoded", "mimeType")
    return {**reply, "predictions": items}


def rewrite_base64(change: Callable[[str], object]) -> Alter:
    """Return an alteration that writes the base64 of every image in another form with the same bytes."""
    return each_image(lambda holder, data, _mime: {**holder, data: change(holder[data])})


def in_pieces(text: str) -> str:
    """Split base64 into two pieces, each padded."""
    image = pybase64.b64decode(text)
    at = len(image) // 2 // 3 * 3 + 1
    return pybase64.b64encode_as_string(image[:at]) + pybase64.b64encode_as_string(image[at:])


def in_lines(text: str) -> str:
    """Split base64 into lines of 76 characters, as in mail."""
    return "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))


def other_format(reply: Json, request: ValidRequest, options: Options) -> Json:
    """Convert the image to a `format` of Pillow; the reply states that type, or with `lie` PNG."""
    form = str(options["format"]).upper()

    def change(holder: Json, data: str, mime: str) -> Json:
        file = io.BytesIO()
        with Image.open(io.BytesIO(pybase64.b64decode(holder[data]))) as image:
            image.convert("RGB").save(file, form)  # loads the plugin, which then knows its type
        mime_type = "image/png" if options["lie"] else Image.MIME[form]
        return {**holder, data: pybase64.b64encode_as_string(file.getvalue()), mime: mime_type}

    return each_image(change)(reply, request, options)


def unknown_type(holder: Json, data: str, mime: str) -> Json:
    """Send bytes of an unknown format as an image."""
    novel = b"\x8aNEW\r\n\x1a\n" + bytes(range(256))
    return {**holder, data: pybase64.b64encode_as_string(novel), mime: "image/new"}


def add_signature(reply: Json, request: ValidRequest, options: Options) -> Json:  # noqa: ARG001
    """Add a thought signature of `bytes` bytes to every part; 2.9 MB were recorded (api: 8.3)."""
    signature = pybase64.b64encode_as_string(bytes(int(options["bytes"]) * 3 // 4))
    candidate = reply["candidates"][0]
    parts = [{**part, "thoughtSignature": signature} for part in candidate["content"]["parts"]]
    content = {**candidate["content"], "parts": parts}
    return {**reply, "candidates": [{**candidate, "content": content}]}


def _last(request: ValidRequest, options: Options) -> set[int]:
    return set(range(max(0, request.count - int(options["count"])), request.count))


def _without(reply: Json, removed: set[int], reason: str | None) -> Json:
    """Remove the images at those positions and append a reason for each."""
    items = list(reply["predictions"])
    remaining = [item for at, item in enumerate(items) if at not in removed]
    return {**reply, "predictions": [*remaining, *({"raiFilteredReason": reason} for _ in removed if reason)]}
