"""Sends one request, attempt after attempt, until the service gave an answer to record.

The only retry layer there is. An image that came whole but is not accepted would probably come in the same form
again: the same kind of damage is bought twice at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception

from imagen_batch.errors import AttemptError, Fatal, Interrupted, RateLimited, Transient
from imagen_batch.images.quarantine import quarantine
from imagen_batch.images.validate import ImageInfo, validate
from imagen_batch.providers.redaction import redact_error, redact_reply
from imagen_batch.providers.transport import RawReply
from imagen_batch.providers.wire import DIALECTS
from imagen_batch.providers.wire.errors import read_error
from imagen_batch.records import CostIs, ImageRequest, NoImage, Picture, Reply, RequestTrace
from imagen_batch.sending.attempt import Attempt, begin_attempt
from imagen_batch.sending.context import SendingContext
from imagen_batch.text import plural

_LONGEST_HINT_S = 120.0  # a service that wants a longer pause for one request is not waited for (api: 10)
_LIMITED_COUNTS = 0.25  # a 429 is about the account: it wears a request out less than its own failures do
_MOST_DOUBLINGS = 60  # any longest wait is reached by then, and a float still holds the number
_NEVER_AGAIN = ("reply_too_large",)  # would come, and be paid, just the same
_SAME_DAMAGE_MAX = 2  # purchases: once more may cure what happened on the way, never what the service does
_WHOLE_REPLY = "bad_reply"  # the kind of a reply that came whole and can't be read


@dataclass(frozen=True, slots=True)
class ValidImage:
    """A picture that came whole, with what its bytes say."""

    number: int
    picture: Picture
    facts: ImageInfo


@dataclass(frozen=True, slots=True)
class Damaged:
    """A picture that came and can't be used."""

    number: int
    kind: str
    message: str
    kept: str | None = None  # the file in quarantine


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request's last attempt brought. `damaged` are samples to ask for again."""

    pictures: tuple[ValidImage, ...]
    missing: tuple[tuple[int, NoImage], ...]
    damaged: tuple[Damaged, ...]
    usd: float | None  # for all of it; None where no price is known
    cost_is: CostIs


class NoPicture(Transient):
    """The service answered without a picture, and asking once more may bring one."""

    def __init__(self) -> None:
        super().__init__("no picture came", kind="no_image", http_status=200)


class RetryingRequest:
    """The attempts of one request. `trace` tells how they went.

    `damages` counts, by kind, how often its samples were bought and could not be used. `uncertain` is True once an
    attempt ended whose price nobody knows.
    """

    def __init__(
        self, request: ImageRequest, context: SendingContext, *, damages: Mapping[str, int] | None = None
    ) -> None:
        self._request = request
        self._studio = context
        self.damages = Counter(damages or {})
        self.uncertain = False
        self._counted = 0.0
        self._empty_answers = 0
        self._renewed = False
        self.trace = RequestTrace(key=request.key, attempts=context.tries(request))

    def answer(self) -> Answer:
        """The service's answer.

        Raises the last Transient when attempts are used up, OverBudget when the next one can't be paid, and
        Interrupted when the run stops first (also for what stops it: a Fatal is handed to the run's stop).
        """
        retrying = Retrying(
            retry=retry_if_exception(self._may_pass),
            stop=lambda _state: self._counted >= self._studio.settings.max_attempts,
            wait=self._wait,
            sleep=self._studio.stop.sleep,
            reraise=True,
        )
        return retrying(self._attempt)

    def _attempt(self) -> Answer:
        started = self._studio.clock()
        try:
            with begin_attempt(self._request, self._studio, attempt=self.trace.attempts + 1) as tab:
                self._begun(tab.at)
                return self._exchange(tab)
        except Fatal as error:
            raise self._fatal(error) from error
        finally:
            now = self._studio.clock()
            self.trace = replace(self.trace, finished_at=now, latency_s=round(now - started, 4))

    def _exchange(self, tab: Attempt) -> Answer:
        try:
            answer = self._read(self._post())
        except Transient as error:
            self.uncertain |= error.maybe_charged
            self.damages[error.kind] += error.kind == _WHOLE_REPLY
            counts = tab.failed(error) or error.maybe_charged  # what may have cost money always counts
            self._counted += counts * (_LIMITED_COUNTS if isinstance(error, RateLimited) else 1)
            raise
        except Fatal as error:
            tab.refused(error)
            raise
        self._counted += 1
        if answer.damaged:
            return self._without_damaged(answer, tab)
        if self._should_ask_again(answer):
            self._empty_answers += 1
            tab.no_image(NoPicture(), usd=answer.usd)
            raise NoPicture
        tab.answered(usd=answer.usd, pictures=len(answer.pictures))
        return answer

    def _without_damaged(self, answer: Answer, tab: Attempt) -> Answer:
        """Ask again for all, or leave to the caller what is worth asking for alone; the rest is given up."""
        self.damages.update({damaged.kind for damaged in answer.damaged})
        first = answer.damaged[0]
        error = Transient(first.message, kind=first.kind, http_status=200, maybe_charged=True)
        if not (answer.pictures or answer.missing):
            again = self._counted < self._studio.settings.max_attempts and self._may_pass(error)
            self.uncertain |= answer.usd is None
            tab.unusable(error, usd=answer.usd, recorded=not again)
            if again:
                raise error
            return self._given_up(answer, answer.damaged)
        tab.answered(usd=answer.usd, pictures=len(answer.pictures))
        worn_out = [each for each in answer.damaged if self.damages[each.kind] >= _SAME_DAMAGE_MAX]
        return self._given_up(answer, tuple(worn_out))

    def _given_up(self, answer: Answer, given_up: tuple[Damaged, ...]) -> Answer:
        missing = [(each.number, self._unaccepted(each)) for each in given_up]
        left = tuple(each for each in answer.damaged if each not in given_up)
        return replace(answer, missing=(*answer.missing, *missing), damaged=left)

    def _unaccepted(self, damaged: Damaged) -> NoImage:
        reason = f"{damaged.message} ({damaged.kind}, {plural(self.trace.attempts, 'attempt')})"
        if damaged.kept:
            reason += f"; what came is kept as {damaged.kept}"
        return NoImage("failed", kind="transient_exhausted", reason=reason)

    def _begun(self, at: float) -> None:
        self.trace = replace(self.trace, attempts=self.trace.attempts + 1, sent_at=self.trace.sent_at or at)

    def _post(self) -> RawReply:
        request, provider = self._request, self._studio.provider
        dialect = DIALECTS[request.dialect]
        payload = orjson.dumps(dialect.encode(request, vertex=provider.vertex))
        headers = {"x-imagen-batch-sample": str(request.first)} if provider.name == "simulator" else None
        return self._studio.transport.post(provider.url(request.model, dialect.verb), payload, headers=headers)

    def _read(self, raw: RawReply) -> Answer:
        self.trace = replace(self.trace, http_status=raw.status)
        with self._studio.decode_slots:
            return self._checked(self._decoded(raw))

    def _decoded(self, raw: RawReply) -> Reply:
        """What the service said, without the key: the one door where its words become ours."""
        asked, clean = self._request.samples, self._studio.provider.credential.redact
        try:
            if raw.status == 200:
                reply = DIALECTS[self._request.dialect].decode(raw.body, asked=asked)
            else:
                reply = read_error(raw.status, raw.headers, raw.body, asked=asked)
        except AttemptError as error:
            redact_error(error, clean)
            raise
        return redact_reply(reply, clean)

    def _checked(self, reply: Reply) -> Answer:
        pictures, missing, damaged = [], [], []
        spare = list(reply.spare)
        for number, sample in zip(self._request.numbers, reply.samples, strict=True):
            found = self._look_at(number, sample, spare)
            if isinstance(found, ValidImage):
                pictures.append(found)
            elif isinstance(found, Damaged):
                damaged.append(found)
            else:
                missing.append((number, found))
        for picture in spare:
            self._keep_aside(self._request.first, picture)
        model, size = self._studio.models[self._request.model], self._request.options.image_size
        usd, cost_is = model.cost(reply.usage, size=size, pictures=len(pictures) + len(damaged))
        return Answer(tuple(pictures), tuple(missing), tuple(damaged), usd, cost_is)

    def _look_at(
        self, number: int, sample: Picture | NoImage, spare: list[Picture]
    ) -> ValidImage | Damaged | NoImage:
        """The sample's picture, or one that came beyond those asked for where its own can't be used."""
        found = self._inspected(number, sample)
        while spare and isinstance(found, Damaged):
            found = self._inspected(number, spare.pop())
        return found

    def _inspected(self, number: int, sample: Picture | NoImage) -> ValidImage | Damaged | NoImage:
        if isinstance(sample, NoImage):
            return Damaged(number, sample.kind, sample.reason) if sample.kind == "bad_base64" else sample
        try:
            return ValidImage(number, sample, validate(sample.data))
        except Transient as error:
            return Damaged(number, error.kind, str(error), kept=self._keep_aside(number, sample))

    def _keep_aside(self, number: int, picture: Picture) -> str | None:
        return quarantine(self._studio.store.storage, picture.data, key=self._request.key, number=number)

    def _fatal(self, error: Fatal) -> Transient | Interrupted:
        try:
            if error.refreshable and not self._renewed and self._studio.provider.credential.refresh():
                self._renewed = True
                return Transient("the access token had ended; it was renewed", kind="token_renewed")
        except Transient as hiccup:  # of the token service
            self._counted += 1
            return hiccup
        except Fatal as refusal:
            error = refusal
        self._studio.stop.fail(error)
        return Interrupted()

    def _should_ask_again(self, answer: Answer) -> bool:
        if answer.pictures or self._counted >= self._studio.settings.max_attempts:
            return False
        return self._empty_answers < min(missing.again for _, missing in answer.missing)

    def _may_pass(self, error: BaseException) -> bool:
        if not isinstance(error, Transient) or error.kind in _NEVER_AGAIN:
            return False
        if self.damages[error.kind] >= _SAME_DAMAGE_MAX:
            return False
        return not (error.maybe_charged and self._studio.settings.on_unknown == "hold")

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited):
            return 0.0  # the governor holds everyone
        if isinstance(error, Transient) and error.retry_after is not None:
            return min(error.retry_after, _LONGEST_HINT_S)
        settings = self._studio.settings
        doubled = settings.wait_initial * 2.0 ** min(state.attempt_number - 1, _MOST_DOUBLINGS)
        return float(min(doubled, settings.wait_max) * (0.5 + self._studio.rng()))
