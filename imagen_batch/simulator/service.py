"""Answers requests as the service does: checks route, credential, request and quota, then draws or injects a fault.

It uses no socket: requests and answers are plain values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pybase64

from imagen_batch.simulator.api import error_bodies, generate_content, predict
from imagen_batch.simulator.api.http_reply_and_error_json import Json, Refused, Reply, html, invalid, reply_json
from imagen_batch.simulator.api.models.answer_listing import answer_listing
from imagen_batch.simulator.api.models.served_models import Model, Verb, find
from imagen_batch.simulator.api.parsed_request import Call, ValidRequest
from imagen_batch.simulator.api.paths import read_call, read_listing
from imagen_batch.simulator.faults.broken_transfers import Carry
from imagen_batch.simulator.faults.choose_fault import ChosenFault, FaultRules
from imagen_batch.simulator.faults.fault import Attempt
from imagen_batch.simulator.pictures.drawing import draw
from imagen_batch.simulator.quota import Quota
from imagen_batch.simulator.usage_log import DeliveredImage, ReceivedRequest

_READ = {"predict": predict.read, "generateContent": generate_content.read}
_WRITE = {"predict": predict.write, "generateContent": generate_content.write}
_SAMPLE_HEADER = "x-imagen-batch-sample"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, the way to send it (None: normally), and the images in it."""

    reply: Reply
    carry: Carry | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None
    images: tuple[DeliveredImage, ...] = ()


@dataclass(slots=True)
class Service:
    """The image service without its network side."""

    fault_rules: FaultRules
    quota: Quota
    extra_models: Collection[str] = ()

    def answer(self, received: ReceivedRequest) -> Answer:
        """Answer any request; a refusal is an answer, too."""
        try:
            return self._answer(received)
        except Refused as exc:
            return Answer(exc.reply)

    def _answer(self, received: ReceivedRequest) -> Answer:
        path = urlsplit(received.path).path
        call = read_call(path) if received.method == "POST" else read_listing(path)
        if call is None:
            return Answer(html(404, "Error 404 (Not Found)!!1", "The requested URL was not found on this server."))
        credential = _credential(received, call)
        if received.method == "GET":
            return Answer(answer_listing(call, extra=self.extra_models))
        request = self._read_request(received, call)
        exceeded = self.quota.acquire(request.model.id)
        if exceeded:
            reply = error_bodies.quota(request, window=exceeded.window, limit=exceeded.limit, delay=exceeded.delay)
            return Answer(reply)
        chosen = self.fault_rules.choose(request.prompt, request.verb)
        return (
            _answer_with_fault(request, call, chosen=chosen, credential=credential)
            if chosen
            else _answer_normally(request, call)
        )

    def _read_request(self, received: ReceivedRequest, call: Call) -> ValidRequest:
        model, verb = self._model(call)
        first = received.headers.get(_SAMPLE_HEADER, "1")
        if not (first.isascii() and first.isdigit() and int(first) >= 1):
            raise Refused(invalid(f"Header {_SAMPLE_HEADER}: {first!r:.40} is not a sample number."))
        try:
            body = orjson.loads(received.body)
        except orjson.JSONDecodeError as exc:
            raise Refused(invalid(f"Invalid JSON payload received. {exc}")) from exc
        return _READ[verb](body, call, model=model, first=int(first))

    def _model(self, call: Call) -> tuple[Model, Verb]:
        model = find(call.model, extra=self.extra_models)
        verb = next((verb for verb in model.verbs if verb == call.verb), None) if model else None
        if model is None or verb is None:
            raise Refused(error_bodies.model_gone(call))
        return model, verb


def _credential(received: ReceivedRequest, call: Call) -> str:
    """Return the caller's key or token. Raises Refused where it is missing or invalid."""
    query = parse_qs(urlsplit(received.path).query)
    key = received.headers.get("x-goog-api-key") or query.get("key", [""])[0]
    scheme, _, token = received.headers.get("authorization", "").partition(" ")
    bearer = token if call.vertex and scheme.lower() == "bearer" else ""
    if not (key or bearer):
        raise Refused(error_bodies.no_credential(call))
    if key == "invalid":
        raise Refused(error_bodies.invalid_key())
    if bearer == "invalid":
        raise Refused(error_bodies.unauthenticated())
    return key or bearer


def _answer_normally(request: ValidRequest, call: Call) -> Answer:
    images = [draw(request, number) for number in request.numbers]
    delivered = tuple(
        _delivered_image(request, number, data) for number, data in zip(request.numbers, images, strict=True)
    )
    return Answer(reply_json(_WRITE[request.verb](request, call, images)), images=delivered)


def _answer_with_fault(request: ValidRequest, call: Call, *, chosen: ChosenFault, credential: str) -> Answer:
    fault, options = chosen.fault, chosen.options
    if fault.instead:
        reply = fault.instead(Attempt(request, call, options, credential))
        return Answer(reply, fault.carry, options, fault.name)
    images = {number: draw(request, number) for number in request.numbers}
    sound = _WRITE[request.verb](request, call, list(images.values()))
    altered = fault.alter(sound, request, options) if fault.alter else sound
    arrived = (
        _rewritten_images(request, images, altered)
        if fault.readable
        else _remaining_images(request, images, sound, altered)
    )
    delivered = tuple(replace(image, whole=image.whole and not fault.breaks) for image in arrived)
    return Answer(reply_json(altered), fault.carry, options, fault.name, delivered)


def _remaining_images(
    request: ValidRequest, images: Mapping[int, bytes], sound: Json, altered: Json
) -> Iterator[DeliveredImage]:
    """Yield the images that an alteration left in the reply, with damaged ones marked as not whole."""
    before, after = list(_encoded(sound)), list(_encoded(altered))
    damaged = sum(text not in before for text in after)
    for (number, data), text in zip(images.items(), before, strict=True):
        if text in after:
            yield _delivered_image(request, number, data)
        elif damaged:
            damaged -= 1
            yield _delivered_image(request, number, data, whole=False)


def _rewritten_images(request: ValidRequest, images: Mapping[int, bytes], altered: Json) -> Iterator[DeliveredImage]:
    """Yield the images of a reply whose base64 has another form."""
    for (number, data), text in zip(images.items(), _encoded(altered), strict=True):
        with suppress(ValueError):
            data = pybase64.b64decode(text, validate=True)  # noqa: PLW2901 - other bytes of the same image
        yield _delivered_image(request, number, data)


def _encoded(value: Any) -> Iterator[str]:
    """Yield the base64 text of every final image of a reply; images in thoughts are not final."""
    if isinstance(value, list):
        for item in value:
            yield from _encoded(item)
    elif isinstance(value, dict) and not value.get("thought"):
        yield from (item for name, item in value.items() if name in ("data", "bytesBase64Encoded"))
        yield from _encoded(list(value.values()))


def _delivered_image(request: ValidRequest, number: int, data: bytes, *, whole: bool = True) -> DeliveredImage:
    return DeliveredImage(request.prompt, number, request.model.id, hashlib.sha256(data).hexdigest(), whole)
