"""Decodes a reply and checks its images: which are sound, which are missing, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from imagen_batch.errors import AttemptError, InvalidImage
from imagen_batch.images.quarantine import quarantine
from imagen_batch.images.validate import ImageInfo, validate
from imagen_batch.providers.redaction import redact_error, redact_reply
from imagen_batch.providers.transport import RawReply
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.records import CostIs, ImageRequest, NoImage, ReceivedImage, Reply
from imagen_batch.sending.context import SendingContext

_MAX_TOKENS = 2**53  # a larger count is implausible, and does not fit into the tables
NO_FACTS: Mapping[str, Any] = dict.fromkeys(("model_version", "response_id", "prompt_tokens", "output_tokens"))
"""The facts of an attempt without a reply."""


@dataclass(frozen=True, slots=True)
class ValidImage:
    """An image that arrived whole, with the facts read from its bytes."""

    number: int
    received: ReceivedImage
    info: ImageInfo
    has_extra: bool = False  # the reply held a further image, which was not requested


@dataclass(frozen=True, slots=True)
class Damaged:
    """An image that arrived and can't be used."""

    number: int
    kind: str
    message: str
    quarantined_as: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a request's last attempt. `damaged` are samples to request again."""

    images: tuple[ValidImage, ...]
    missing: tuple[tuple[int, NoImage], ...]
    damaged: tuple[Damaged, ...]
    usd: float | None  # for the whole answer; None where no price is known
    cost_is: CostIs


def decode_reply(raw: RawReply, request: ImageRequest, context: SendingContext) -> Reply:
    """Return the service's reply, with the key redacted wherever the service repeats it."""
    redact = context.provider.credential.redact
    try:
        if 200 <= raw.status < 300:  # some gateways answer 201 or 203
            reply = DIALECTS[request.dialect].decode(raw.body, requested=request.samples)
        else:
            reply = read_error(raw.status, raw.headers, raw.body, requested=request.samples)
    except AttemptError as error:
        redact_error(error, redact)
        raise
    return redact_reply(reply, redact)


def reply_facts(reply: Reply) -> dict[str, Any]:
    """Return the facts that a reply states about itself, as the fields of a trace."""
    usage = reply.usage
    counts = (None, None) if usage is None else (usage.prompt, usage.image + usage.text)
    prompt, output = (None if count is None or count > _MAX_TOKENS else count for count in counts)
    return {
        "model_version": reply.model_version,
        "response_id": reply.response_id,
        "prompt_tokens": prompt,
        "output_tokens": output,
    }


def check_reply(reply: Reply, request: ImageRequest, context: SendingContext) -> Answer:
    """Validate the images of a reply. Damaged ones are quarantined."""
    images, missing, damaged = [], [], []
    spare = list(reply.spare)
    for number, sample in zip(request.numbers, reply.samples, strict=True):
        checked = _validate_or_replace(number, sample, spare, request, context)
        if isinstance(checked, ValidImage):
            images.append(checked)
        elif isinstance(checked, Damaged):
            damaged.append(checked)
        else:
            missing.append((number, checked))
    for image in spare:
        _quarantine(request.first, image, request, context)
    if spare and images:
        images[0] = replace(images[0], has_extra=True)
    usd, cost_is = context.models[request.model].cost(
        reply.usage,
        size=request.options.image_size,
        images=len(images) + len(damaged),
        references=len(request.references),
    )
    return Answer(tuple(images), tuple(missing), tuple(damaged), usd, cost_is)


def _validate_or_replace(
    number: int,
    sample: ReceivedImage | NoImage,
    spare: list[ReceivedImage],
    request: ImageRequest,
    context: SendingContext,
) -> ValidImage | Damaged | NoImage:
    """Check a sample. A damaged image is replaced by a sound one of those that came beyond the requested ones."""
    checked = _validate(number, sample, request, context)
    while spare and isinstance(checked, Damaged):
        checked = _validate(number, spare.pop(), request, context)
    return checked


def _validate(
    number: int, sample: ReceivedImage | NoImage, request: ImageRequest, context: SendingContext
) -> ValidImage | Damaged | NoImage:
    if isinstance(sample, NoImage):
        return Damaged(number, sample.kind, sample.reason) if sample.kind == "bad_base64" else sample
    try:
        return ValidImage(number, sample, validate(sample.data))
    except InvalidImage as error:
        kept_as = _quarantine(number, sample, request, context)
        return Damaged(number, error.kind, str(error), quarantined_as=kept_as)


def _quarantine(number: int, received: ReceivedImage, request: ImageRequest, context: SendingContext) -> str | None:
    return quarantine(context.store.storage, received.data, key=request.key, number=number)
