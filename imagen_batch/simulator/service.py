"""What does the service answer to a request? Credential, route, door, quota, fault, picture: in that order.

Knows HTTP's words but no socket: a request is a value, an answer is a value.
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

from imagen_batch.simulator.api import error_bodies as refusals
from imagen_batch.simulator.api import generate_content, predict
from imagen_batch.simulator.api import models as listing
from imagen_batch.simulator.api.catalogue import Model, Verb, find
from imagen_batch.simulator.api.replies import Json, Refused, Reply, html, invalid, reply_json
from imagen_batch.simulator.api.requests import Call, Order
from imagen_batch.simulator.api.routes import read_call, read_listing
from imagen_batch.simulator.faults.broken_transfers import Carry
from imagen_batch.simulator.faults.fault import Attempt
from imagen_batch.simulator.faults.rules import Chosen, Mischief
from imagen_batch.simulator.pictures.drawing import draw
from imagen_batch.simulator.quota import Quota
from imagen_batch.simulator.usage_log import Delivered, Received

_READ = {"predict": predict.read, "generateContent": generate_content.read}
_WRITE = {"predict": predict.write, "generateContent": generate_content.write}
_SAMPLE_HEADER = "x-imagen-batch-sample"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, how it is to travel (None: as it should), and the pictures in it."""

    reply: Reply
    carry: Carry | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None
    pictures: tuple[Delivered, ...] = ()


@dataclass(slots=True)
class Service:
    """The image service behind the door."""

    mischief: Mischief
    quota: Quota
    extra_models: Collection[str] = ()

    def answer(self, received: Received) -> Answer:
        """The answer to any request; refusals are answers, too."""
        try:
            return self._answer(received)
        except Refused as exc:
            return Answer(exc.reply)

    def _answer(self, received: Received) -> Answer:
        path = urlsplit(received.path).path
        call = read_call(path) if received.method == "POST" else read_listing(path)
        if call is None:
            return Answer(html(404, "Error 404 (Not Found)!!1", "The requested URL was not found on this server."))
        credential = _credential(received, call)
        if received.method == "GET":
            return Answer(listing.answer(call, extra=self.extra_models))
        order = self._order(received, call)
        exceeded = self.quota.acquire(order.model.id)
        if exceeded:
            reply = refusals.quota(order, window=exceeded.window, limit=exceeded.limit, delay=exceeded.delay)
            return Answer(reply)
        chosen = self.mischief.choose(order.prompt, order.verb)
        return _misbehave(order, call, chosen=chosen, credential=credential) if chosen else _behave(order, call)

    def _order(self, received: Received, call: Call) -> Order:
        model, verb = self._model(call)
        first = received.headers.get(_SAMPLE_HEADER, "1")
        if not (first.isascii() and first.isdigit() and int(first) >= 1):
            raise Refused(invalid(f"Header {_SAMPLE_HEADER}: {first!r:.40} is no sample number."))
        try:
            body = orjson.loads(received.body)
        except orjson.JSONDecodeError as exc:
            raise Refused(invalid(f"Invalid JSON payload received. {exc}")) from exc
        return _READ[verb](body, call, model=model, first=int(first))

    def _model(self, call: Call) -> tuple[Model, Verb]:
        model = find(call.model, extra=self.extra_models)
        verb = next((verb for verb in model.verbs if verb == call.verb), None) if model else None
        if model is None or verb is None:
            raise Refused(refusals.model_gone(call))
        return model, verb


def _credential(received: Received, call: Call) -> str:
    """The caller's key or token. Raises Refused without one that would do."""
    query = parse_qs(urlsplit(received.path).query)
    key = received.headers.get("x-goog-api-key") or query.get("key", [""])[0]
    scheme, _, token = received.headers.get("authorization", "").partition(" ")
    bearer = token if call.vertex and scheme.lower() == "bearer" else ""
    if not (key or bearer):
        raise Refused(refusals.nobody(call))
    if key == "invalid":
        raise Refused(refusals.key_refused())
    if bearer == "invalid":
        raise Refused(refusals.unauthenticated())
    return key or bearer


def _behave(order: Order, call: Call) -> Answer:
    pictures = [draw(order, number) for number in order.numbers]
    delivered = tuple(_delivered(order, number, data) for number, data in zip(order.numbers, pictures, strict=True))
    return Answer(reply_json(_WRITE[order.verb](order, call, pictures)), pictures=delivered)


def _misbehave(order: Order, call: Call, *, chosen: Chosen, credential: str) -> Answer:
    fault, options = chosen.fault, chosen.options
    if fault.instead:
        reply = fault.instead(Attempt(order, call, options, credential))
        return Answer(reply, fault.carry, options, fault.name)
    pictures = {number: draw(order, number) for number in order.numbers}
    sound = _WRITE[order.verb](order, call, list(pictures.values()))
    altered = fault.alter(sound, order, options) if fault.alter else sound
    arrived = _as_sent(order, pictures, altered) if fault.readable else _still_there(order, pictures, sound, altered)
    delivered = tuple(replace(picture, whole=picture.whole and not fault.breaks) for picture in arrived)
    return Answer(reply_json(altered), fault.carry, options, fault.name, delivered)


def _still_there(order: Order, pictures: Mapping[int, bytes], sound: Json, altered: Json) -> Iterator[Delivered]:
    """The pictures that an alteration left in the reply, spoiled ones marked as not whole."""
    before, after = list(_encoded(sound)), list(_encoded(altered))
    spoiled = sum(text not in before for text in after)
    for (number, data), text in zip(pictures.items(), before, strict=True):
        if text in after:
            yield _delivered(order, number, data)
        elif spoiled:
            spoiled -= 1
            yield _delivered(order, number, data, whole=False)


def _as_sent(order: Order, pictures: Mapping[int, bytes], altered: Json) -> Iterator[Delivered]:
    """The pictures in another form, by the bytes that plain base64 holds."""
    for (number, data), text in zip(pictures.items(), _encoded(altered), strict=True):
        with suppress(ValueError):
            data = pybase64.b64decode(text, validate=True)  # noqa: PLW2901 - other bytes of the same picture
        yield _delivered(order, number, data)


def _encoded(value: Any) -> Iterator[str]:
    """Every final picture of a reply, in base64; thoughts are not final."""
    if isinstance(value, list):
        for item in value:
            yield from _encoded(item)
    elif isinstance(value, dict) and not value.get("thought"):
        yield from (item for name, item in value.items() if name in ("data", "bytesBase64Encoded"))
        yield from _encoded(list(value.values()))


def _delivered(order: Order, number: int, data: bytes, *, whole: bool = True) -> Delivered:
    return Delivered(order.prompt, number, order.model.id, hashlib.sha256(data).hexdigest(), whole)
