"""How does a 200 come without the picture, or with a broken one? (api.md 3.3, 8.4)

Each takes a finished reply and returns another; the one it was given stays as it was.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pybase64
from PIL import Image

from imagen_batch.simulator.api.generate_content import blocked_usage, envelope
from imagen_batch.simulator.api.replies import Json
from imagen_batch.simulator.api.requests import Order

Options = Mapping[str, Any]
Alter = Callable[[Json, Order, Options], Json]

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


def partial(reply: Json, order: Order, options: Options) -> Json:
    """The last `count` pictures give way to one reason each."""
    return _without(reply, _last(order, options), _REASON.format(codes=options["codes"]))


def partial_summary(reply: Json, order: Order, options: Options) -> Json:
    """The last `count` pictures give way to one item that tells their number."""
    gone = _last(order, options)
    told = f"{len(gone)} of {order.count} images were filtered out. Support codes: {options['codes']}"
    left = _without(reply, gone, None)
    return {**left, "predictions": [*left["predictions"], {"raiFilteredReason": told}]}


def partial_silent(reply: Json, order: Order, options: Options) -> Json:
    """The last `count` pictures are missing without a word."""
    return _without(reply, _last(order, options), None)


def filtered(reply: Json, order: Order, options: Options) -> Json:
    """Samples 1..`count` of the row are filtered (0: all), in either dialect."""
    gone = {n - order.first for n in order.numbers if not options["count"] or n <= options["count"]}
    if order.verb == "predict":
        return _without(reply, gone, _REASON.format(codes=options["codes"]))
    return finished("IMAGE_SAFETY")(reply, order, options) if gone else reply


def all_filtered(reply: Json, order: Order, options: Options) -> Json:
    """No picture, one text for all; nothing at all where no reason was asked for."""
    if not order.reasons:
        return {}
    return {**reply, "predictions": [{"raiFilteredReason": _SENSITIVE.format(codes=options["codes"])}]}


def bare_code(reply: Json, order: Order, options: Options) -> Json:
    """Every picture gives way to an item of digits only."""
    return {**reply, "predictions": [{"raiFilteredReason": str(options["codes"])} for _ in order.numbers]}


def blocked_prompt(reply: Json, order: Order, options: Options) -> Json:
    """No candidates: the prompt was blocked."""
    rest = {name: value for name, value in reply.items() if name != "candidates"}
    feedback = {"blockReason": str(options["reason"])}
    return {"promptFeedback": feedback, **rest, "usageMetadata": blocked_usage(order)}


def finished(reason: str) -> Alter:
    """A candidate with an empty content that ended for `reason`."""

    def alter(reply: Json, order: Order, options: Options) -> Json:  # noqa: ARG001
        message = _FINISH_MESSAGE.format(codes=options.get("codes", "42876398"))
        index = {} if order.vertex else {"index": 0}
        candidate = {**index, "content": {}, "finishReason": reason, "finishMessage": message}
        return envelope(order, [candidate], image_tokens=0)

    return alter


def text_only(reply: Json, order: Order, options: Options) -> Json:  # noqa: ARG001
    """STOP, and words in place of the picture."""
    parts = [{"text": "I can describe this scene, but I can't draw it. Shall I?"}]
    candidate = {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    return envelope(order, [candidate], image_tokens=0)


def thought_image(reply: Json, order: Order, options: Options) -> Json:  # noqa: ARG001
    """A plan and a draft come before the picture."""
    candidate = reply["candidates"][0]
    parts = candidate["content"]["parts"]
    draft = {**parts[-1], "thought": True}
    content = {"role": "model", "parts": [{"text": "A short plan.", "thought": True}, draft, *parts]}
    return {**reply, "candidates": [{**candidate, "content": content}]}


def each_picture(change: Callable[[Json, str, str], Json]) -> Alter:
    """`change(holder, name of its data, name of its mime type)` befalls every picture of either dialect."""

    def walk(value: Any) -> Any:
        if isinstance(value, list):
            return [walk(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "mimeType" in value:
            return change(value, "data" if "data" in value else "bytesBase64Encoded", "mimeType")
        return {name: walk(item) for name, item in value.items()}

    def alter(reply: Json, order: Order, options: Options) -> Json:  # noqa: ARG001
        altered: Json = walk(reply)
        return altered

    return alter


def bad_base64(holder: Json, data: str, mime: str) -> Json:  # noqa: ARG001
    """Characters that base64 does not have."""
    text = holder[data]
    return {**holder, data: f"{text[: len(text) // 2]}!?*{text[len(text) // 2 + 3 :]}"}


def half_picture(holder: Json, data: str, mime: str) -> Json:  # noqa: ARG001
    """The first half of the picture's bytes, as whole base64."""
    picture = pybase64.b64decode(holder[data])
    return {**holder, data: pybase64.b64encode_as_string(picture[: len(picture) // 2])}


def lying_mime(holder: Json, data: str, mime: str) -> Json:  # noqa: ARG001
    """Says PNG where the bytes are JPEG, and the reverse."""
    return {**holder, mime: "image/png" if holder[mime] == "image/jpeg" else "image/jpeg"}


def half_of_one(reply: Json, order: Order, options: Options) -> Json:
    """Half of the bytes of one picture, that of sample `sample`; the others are whole."""
    at = int(options["sample"]) - order.first
    if order.verb != "predict":
        return each_picture(half_picture)(reply, order, options) if at == 0 else reply
    items = list(reply["predictions"])
    if 0 <= at < len(items):
        items[at] = half_picture(items[at], "bytesBase64Encoded", "mimeType")
    return {**reply, "predictions": items}


def spelled(change: Callable[[str], object]) -> Alter:
    """Every picture's base64 in another form that holds all of its bytes."""
    return each_picture(lambda holder, data, _mime: {**holder, data: change(holder[data])})


def in_pieces(text: str) -> str:
    """Two pieces, each padded, one after the other."""
    picture = pybase64.b64decode(text)
    at = len(picture) // 2 // 3 * 3 + 1
    return pybase64.b64encode_as_string(picture[:at]) + pybase64.b64encode_as_string(picture[at:])


def in_lines(text: str) -> str:
    """Lines of 76 characters, as in mail."""
    return "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))


def other_format(reply: Json, order: Order, options: Options) -> Json:
    """The picture in a `format` of Pillow's; the reply says what it is, or with `lie` that it is PNG."""
    form = str(options["format"]).upper()

    def change(holder: Json, data: str, mime: str) -> Json:
        file = io.BytesIO()
        with Image.open(io.BytesIO(pybase64.b64decode(holder[data]))) as picture:
            picture.convert("RGB").save(file, form)  # loads the plugin, which then knows its type
        mime_type = "image/png" if options["lie"] else Image.MIME[form]
        return {**holder, data: pybase64.b64encode_as_string(file.getvalue()), mime: mime_type}

    return each_picture(change)(reply, order, options)


def unknown_type(holder: Json, data: str, mime: str) -> Json:
    """Bytes that no program knows, called a picture."""
    novel = b"\x8aNEW\r\n\x1a\n" + bytes(range(256))
    return {**holder, data: pybase64.b64encode_as_string(novel), mime: "image/new"}


def signed(reply: Json, order: Order, options: Options) -> Json:  # noqa: ARG001
    """A thought signature of so many `bytes` at every part; 2.9 MB were recorded (api-update W8)."""
    signature = pybase64.b64encode_as_string(bytes(int(options["bytes"]) * 3 // 4))
    candidate = reply["candidates"][0]
    parts = [{**part, "thoughtSignature": signature} for part in candidate["content"]["parts"]]
    content = {**candidate["content"], "parts": parts}
    return {**reply, "candidates": [{**candidate, "content": content}]}


def _last(order: Order, options: Options) -> set[int]:
    return set(range(max(0, order.count - int(options["count"])), order.count))


def _without(reply: Json, gone: set[int], reason: str | None) -> Json:
    """`reply` without the pictures at those places; a reason for each goes to the end."""
    items = list(reply["predictions"])
    kept = [item for at, item in enumerate(items) if at not in gone]
    return {**reply, "predictions": [*kept, *({"raiFilteredReason": reason} for _ in gone if reason)]}
