"""Sends one request, attempt after attempt, until there is an answer to record.

This is the only retry layer. An image that arrived whole but can't be used would probably arrive in the same form
again, so the same kind of damage is paid for twice at most.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception

from imagen_batch.errors import AttemptError, Fatal, Interrupted, InvalidImage, RateLimited, Transient
from imagen_batch.images.quarantine import quarantine
from imagen_batch.images.validate import ImageInfo, validate
from imagen_batch.providers.redaction import redact_error, redact_reply
from imagen_batch.providers.transport import RawReply
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.providers.wire.classify_errors import read_error
from imagen_batch.records import CostIs, ImageRequest, InputImage, NoImage, ReceivedImage, Reply, RequestTrace
from imagen_batch.sending.attempt_resources import Attempt, begin_attempt
from imagen_batch.sending.context import SendingContext
from imagen_batch.sending.governor import FailureCause
from imagen_batch.sending.tracing import RequestSpan
from imagen_batch.text import plural

_MAX_HINT_S = 120.0  # longer pauses that the service asks for are cut to this (api: 10)
_RATE_LIMIT_WEIGHT = 0.25  # of an attempt: a 429 is about the account, not about this request
_MAX_DOUBLINGS = 60  # beyond any maximum wait, and still within the range of a float
_NOT_RETRIED = ("reply_too_large",)  # the next reply would be as large, and charged as well
_MAX_SAME_DAMAGE = 2  # purchases: a second one may fix a transfer problem, more would not fix the service
_WHOLE_REPLY = "bad_reply"  # error kind of a reply that arrived whole and can't be parsed


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


class NoImageYet(Transient):
    """The service answered without an image, and another attempt may return one."""

    def __init__(self) -> None:
        super().__init__("no image came", kind="no_image", http_status=200)


class RetryingRequest:
    """The attempts of one request, summarized in `trace`.

    `damage_counts` counts, by kind, how often images of the request were paid for and could not be used.
    `uncertain` is True once an attempt ended that may have been charged.
    """

    def __init__(
        self,
        request: ImageRequest,
        context: SendingContext,
        *,
        damage_counts: Mapping[str, int] | None = None,
        span: RequestSpan | None = None,
    ) -> None:
        self._request = request
        self.span = span or RequestSpan()
        self._context = context
        self.damage_counts = Counter(damage_counts or {})
        self.uncertain = False
        self._counted = 0.0  # attempts that count against max_attempts
        self._empty_answers = 0
        self._token_renewed = False
        self.trace = RequestTrace(key=request.key, attempts=context.previous_attempts(request), run_id=context.run_id)

    def run(self) -> Answer:
        """Send the request until it is answered, and return the answer.

        Raises the last Transient when attempts are used up, OverBudget when the next one can't be paid for, and
        Interrupted when the run stops first. A Fatal goes to the run's Stop, and Interrupted is raised for it, too.
        """
        retrying = Retrying(
            retry=retry_if_exception(self._should_retry),
            stop=lambda _state: self._counted >= self._context.settings.max_attempts,
            wait=self._wait,
            sleep=self._context.stop.sleep,
            reraise=True,
        )
        return retrying(self._make_attempt)

    def _make_attempt(self) -> Answer:
        started, before = self._context.clock(), self.trace.attempts
        try:
            with begin_attempt(self._request, self._context, number=self.trace.attempts + 1) as attempt:
                self._count_attempt(attempt.started_at)
                return self._exchange(attempt)
        except Fatal as error:
            raise self._handle_fatal(error) from error
        finally:
            now = self._context.clock()
            self.trace = replace(self.trace, finished_at=now, latency_s=round(now - started, 4))
            if self.trace.attempts > before:  # it was sent
                self.span.add_attempt(self.trace, sys.exception())

    def _exchange(self, attempt: Attempt) -> Answer:
        try:
            answer = self._read(self._post(attempt.images))
        except Transient as error:
            self.uncertain |= error.maybe_charged
            self.damage_counts[error.kind] += error.kind == _WHOLE_REPLY
            cause = attempt.fail(error)
            if cause is FailureCause.REQUEST or error.maybe_charged:
                self._counted += _RATE_LIMIT_WEIGHT if isinstance(error, RateLimited) else 1
            raise
        except Fatal as error:
            attempt.refuse(error)
            raise
        self._counted += 1
        if answer.damaged:
            return self._handle_damaged(answer, attempt)
        if self._should_ask_again(answer):
            self._empty_answers += 1
            attempt.close_without_image(NoImageYet(), usd=answer.usd)
            raise NoImageYet
        attempt.complete(usd=answer.usd, images=len(answer.images))
        return answer

    def _handle_damaged(self, answer: Answer, attempt: Attempt) -> Answer:
        """Retry the whole request where nothing of the answer can be used.

        Otherwise return the answer, with `damaged` reduced to samples that are worth buying again on their own.
        """
        self.damage_counts.update({damaged.kind for damaged in answer.damaged})
        first = answer.damaged[0]
        error = Transient(first.message, kind=first.kind, http_status=200, maybe_charged=True)
        if not (answer.images or answer.missing):
            retry = self._counted < self._context.settings.max_attempts and self._should_retry(error)
            self.uncertain |= answer.usd is None
            attempt.close_unusable(error, usd=answer.usd, recorded=not retry)
            if retry:
                raise error
            return self._give_up(answer, answer.damaged)
        attempt.complete(usd=answer.usd, images=len(answer.images))
        bought_twice = [damaged for damaged in answer.damaged if self.damage_counts[damaged.kind] >= _MAX_SAME_DAMAGE]
        return self._give_up(answer, tuple(bought_twice))

    def _give_up(self, answer: Answer, given_up: tuple[Damaged, ...]) -> Answer:
        missing = [(damaged.number, self._as_failed(damaged)) for damaged in given_up]
        remaining = tuple(damaged for damaged in answer.damaged if damaged not in given_up)
        return replace(answer, missing=(*answer.missing, *missing), damaged=remaining)

    def _as_failed(self, damaged: Damaged) -> NoImage:
        reason = f"{damaged.message} ({damaged.kind}, {plural(self.trace.attempts, 'attempt')})"
        if damaged.quarantined_as:
            reason += f"; the damaged data is kept as {damaged.quarantined_as}"
        return NoImage("failed", kind="transient_exhausted", reason=reason)

    def _count_attempt(self, at: float) -> None:
        began = self.trace.sent_at or at
        self.trace = replace(self.trace, attempts=self.trace.attempts + 1, sent_at=began, **_NO_FACTS)

    def _post(self, images: Sequence[InputImage]) -> RawReply:
        request, provider = self._request, self._context.provider
        dialect = DIALECTS[request.dialect]
        payload = orjson.dumps(dialect.encode(request, vertex=provider.vertex, references=images))
        headers = {"x-imagen-batch-sample": str(request.first)} if provider.name == "simulator" else None
        return self._context.transport.post(provider.url(request.model, dialect.verb), payload, headers=headers)

    def _read(self, raw: RawReply) -> Answer:
        self.trace = replace(self.trace, http_status=raw.status)
        with self._context.decode_slots:
            reply = self._decode(raw)
            self.trace = replace(self.trace, **_reply_facts(reply))
            return self._check(reply)

    def _decode(self, raw: RawReply) -> Reply:
        """Return the service's reply, with the key redacted wherever the service repeats it."""
        samples, redact = self._request.samples, self._context.provider.credential.redact
        try:
            if 200 <= raw.status < 300:  # some gateways answer 201 or 203
                reply = DIALECTS[self._request.dialect].decode(raw.body, requested=samples)
            else:
                reply = read_error(raw.status, raw.headers, raw.body, requested=samples)
        except AttemptError as error:
            redact_error(error, redact)
            raise
        return redact_reply(reply, redact)

    def _check(self, reply: Reply) -> Answer:
        images, missing, damaged = [], [], []
        spare = list(reply.spare)
        for number, sample in zip(self._request.numbers, reply.samples, strict=True):
            checked = self._validate_or_replace(number, sample, spare)
            if isinstance(checked, ValidImage):
                images.append(checked)
            elif isinstance(checked, Damaged):
                damaged.append(checked)
            else:
                missing.append((number, checked))
        for image in spare:
            self._quarantine(self._request.first, image)
        if spare and images:
            images[0] = replace(images[0], has_extra=True)
        model, size = self._context.models[self._request.model], self._request.options.image_size
        usd, cost_is = model.cost(
            reply.usage,
            size=size,
            images=len(images) + len(damaged),
            references=len(self._request.references),
        )
        return Answer(tuple(images), tuple(missing), tuple(damaged), usd, cost_is)

    def _validate_or_replace(
        self, number: int, sample: ReceivedImage | NoImage, spare: list[ReceivedImage]
    ) -> ValidImage | Damaged | NoImage:
        """Check a sample. A damaged image is replaced by a sound one of those that came beyond the requested ones."""
        checked = self._validate(number, sample)
        while spare and isinstance(checked, Damaged):
            checked = self._validate(number, spare.pop())
        return checked

    def _validate(self, number: int, sample: ReceivedImage | NoImage) -> ValidImage | Damaged | NoImage:
        if isinstance(sample, NoImage):
            return Damaged(number, sample.kind, sample.reason) if sample.kind == "bad_base64" else sample
        try:
            return ValidImage(number, sample, validate(sample.data))
        except InvalidImage as error:
            return Damaged(number, error.kind, str(error), quarantined_as=self._quarantine(number, sample))

    def _quarantine(self, number: int, received: ReceivedImage) -> str | None:
        return quarantine(self._context.store.storage, received.data, key=self._request.key, number=number)

    def _handle_fatal(self, error: Fatal) -> Transient | Interrupted:
        """Return the error to raise for a Fatal: a Transient after the token was renewed, else Interrupted."""
        try:
            if error.refreshable and not self._token_renewed and self._context.provider.credential.refresh():
                self._token_renewed = True
                return Transient("the access token had expired; it was renewed", kind="token_renewed")
        except Transient as token_service_error:
            self._counted += 1
            return token_service_error
        except Fatal as refusal:
            error = refusal
        self._context.stop.fail(error)
        return Interrupted()

    def _should_ask_again(self, answer: Answer) -> bool:
        if answer.images or self._counted >= self._context.settings.max_attempts:
            return False
        return self._empty_answers < min(missing.again for _, missing in answer.missing)

    def _should_retry(self, error: BaseException) -> bool:
        if not isinstance(error, Transient) or error.kind in _NOT_RETRIED:
            return False
        if self.damage_counts[error.kind] >= _MAX_SAME_DAMAGE:
            return False
        return not (error.maybe_charged and self._context.settings.on_unknown == "hold")

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited):
            return 0.0  # the governor holds all requests
        if isinstance(error, Transient) and error.retry_after is not None:
            return min(error.retry_after, _MAX_HINT_S)
        settings = self._context.settings
        doubled = settings.wait_initial * 2.0 ** min(state.attempt_number - 1, _MAX_DOUBLINGS)
        return float(min(doubled, settings.wait_max) * (0.5 + self._context.rng()))


_MAX_TOKENS = 2**53  # a larger count is implausible, and does not fit into the tables
_NO_FACTS: Mapping[str, Any] = dict.fromkeys(("model_version", "response_id", "prompt_tokens", "output_tokens"))


def _reply_facts(reply: Reply) -> dict[str, Any]:
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
