"""One request, attempt after attempt, until the service gave an answer to record.

The only retry layer there is. Money is set aside before an attempt and settled after it; the ledger knows of
an attempt before the service does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson
from tenacity import RetryCallState, Retrying, retry_if_exception, retry_if_result

from imagen_batch.budget import Reservation
from imagen_batch.errors import Fatal, ImagenBatchError, Interrupted, RateLimited, Transient
from imagen_batch.images import Facts, inspect
from imagen_batch.pace import Permit
from imagen_batch.records import ImageRequest, Missing, Picture, Reply, Trace
from imagen_batch.studio import Studio
from imagen_batch.transport import Raw
from imagen_batch.wire import DIALECTS
from imagen_batch.wire.errors import read_error

_LONGEST_HINT_S = 120.0  # a service that wants a longer pause for one request is not waited for (api: 10)


class OverBudget(ImagenBatchError):
    """The attempt does not fit below the wall any more; it was not made."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A picture that came whole, with what its bytes say."""

    number: int
    picture: Picture
    facts: Facts


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request's last attempt brought. `damaged` are sample numbers to ask for again."""

    reply: Reply
    pictures: tuple[Checked, ...]
    missing: tuple[tuple[int, Missing], ...]
    damaged: tuple[int, ...]
    reservation: Reservation


class Attempts:
    """The attempts of one request. `trace` tells how they went."""

    def __init__(self, request: ImageRequest, studio: Studio) -> None:
        self._request = request
        self._studio = studio
        self._governor = studio.governor(request.model)
        self._counted = 0
        self._renewed = False
        self.trace = Trace(key=request.key, attempts=studio.tries(request.key))

    def answer(self) -> Answer:
        """The service's answer.

        Raises the last Transient when attempts are used up, OverBudget when the next one can't be paid, and
        Interrupted when the run stops first (also for what stops it: a Fatal is handed to the run's stop).
        """
        retrying = Retrying(
            retry=retry_if_exception(self._may_pass) | retry_if_result(self._worth_asking_again),
            stop=lambda _state: self._counted >= self._studio.settings.max_attempts,
            wait=self._wait,
            sleep=self._studio.stop.sleep,
            retry_error_callback=_last,
        )
        return retrying(self._attempt)

    def _attempt(self) -> Answer:
        self._look_for_room()
        reservation = self._reserve()
        permit = self._admit(reservation)
        started = self._studio.clock()
        self._announce(started, reservation)
        try:
            raw = self._post()
            answer = self._read(raw, reservation)
        except Transient as error:
            self._passing(error, permit, reservation)
            raise
        except Fatal as error:
            raise self._fatal(error, reservation) from error
        except BaseException:
            self._governor.withdrawn()
            reservation.keep()
            raise
        finally:
            self._clocked(started)
        self._counted += 1
        self._governor.succeeded(permit)
        return answer

    def _look_for_room(self) -> None:
        try:
            self._studio.shelf.room.check()
        except Fatal as full:
            self._studio.stop.for_error(full)
            raise Interrupted from full

    def _reserve(self) -> Reservation:
        budget, request = self._studio.budget, self._request
        reservation = budget.reserve(request.price, request.samples, stop=self._studio.stop)
        if reservation is None:
            raise OverBudget
        return reservation

    def _admit(self, reservation: Reservation) -> Permit:
        try:
            return self._governor.admit(images=self._request.samples)
        except Interrupted:
            reservation.release()
            raise

    def _announce(self, at: float, reservation: Reservation) -> None:
        self.trace = replace(self.trace, attempts=self.trace.attempts + 1, sent_at=self.trace.sent_at or at)
        try:
            self._studio.ledger.sent(self._request, attempt=self.trace.attempts, at=at)
        except OSError:  # what the ledger can't take is not sent
            self._governor.withdrawn()
            reservation.release()
            self._back(Transient("the ledger could not be written", kind="disk"), "no")
            raise

    def _post(self) -> Raw:
        request, provider = self._request, self._studio.provider
        dialect = DIALECTS[request.dialect]
        payload = orjson.dumps(dialect.encode(request, vertex=provider.vertex))
        headers = {"x-imagen-batch-sample": str(request.first)} if provider.name == "simulator" else None
        return self._studio.transport.post(provider.url(request.model, dialect.verb), payload, headers=headers)

    def _read(self, raw: Raw, reservation: Reservation) -> Answer:
        self.trace = replace(self.trace, http_status=raw.status)
        asked = self._request.samples
        with self._studio.unpacking:
            if raw.status == 200:
                reply = DIALECTS[self._request.dialect].decode(raw.body, asked=asked)
            else:
                reply = read_error(raw.status, raw.headers, raw.body, asked=asked)
            return self._checked(reply, reservation)

    def _checked(self, reply: Reply, reservation: Reservation) -> Answer:
        pictures, missing, damaged = [], [], []
        trouble: Transient | None = None
        for number, sample in zip(self._request.numbers, reply.samples, strict=True):
            if isinstance(sample, Missing):
                missing.append((number, sample))
                continue
            try:
                pictures.append(Checked(number, sample, inspect(sample.data)))
            except Transient as error:
                trouble = error
                damaged.append(number)
        if trouble is not None and not pictures:
            raise trouble
        return Answer(reply, tuple(pictures), tuple(missing), tuple(damaged), reservation)

    def _passing(self, error: Transient, permit: Permit, reservation: Reservation) -> None:
        (reservation.keep if error.maybe_charged else reservation.release)()
        self._back(error, "maybe" if error.maybe_charged else "no")
        try:
            exempt = self._governor.failed(permit, error)
        except Fatal as outage:
            self._studio.stop.for_error(outage)
            raise Interrupted from outage
        self._counted += not exempt

    def _fatal(self, error: Fatal, reservation: Reservation) -> ImagenBatchError:
        reservation.release()
        self._governor.withdrawn()
        self._back(error, "no")
        if error.refreshable and not self._renewed and self._studio.provider.credential.refresh():
            self._renewed = True
            return Transient("the access token had ended; it was renewed", kind="token_renewed")
        self._studio.stop.for_error(error)
        return Interrupted()

    def _back(self, error: Transient | Fatal, charged: str) -> None:
        facts = {"kind": error.kind, "status": error.http_status, "charged": charged}
        number, now = self.trace.attempts, self._studio.clock()
        self._studio.ledger.back(self._request, attempt=number, at=now, facts=facts)

    def _clocked(self, started: float) -> None:
        now = self._studio.clock()
        self.trace = replace(self.trace, finished_at=now, latency_s=round(now - started, 4))

    def _may_pass(self, error: BaseException) -> bool:
        if not isinstance(error, Transient):
            return False
        return not (error.maybe_charged and self._studio.settings.on_unknown == "hold")

    def _worth_asking_again(self, answer: Answer) -> bool:
        if answer.pictures or answer.damaged or not answer.missing:
            return False
        return self._counted <= min(missing.again for _, missing in answer.missing)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, RateLimited):
            return 0.0  # the governor holds everyone
        if isinstance(error, Transient) and error.retry_after is not None:
            return min(error.retry_after, _LONGEST_HINT_S)
        settings = self._studio.settings
        doubled = settings.wait_initial * 2.0 ** (state.attempt_number - 1)
        return float(min(doubled, settings.wait_max) * (0.5 + self._studio.rng()))


def _last(state: RetryCallState) -> Answer:
    assert state.outcome is not None
    answer: Answer = state.outcome.result()
    return answer
