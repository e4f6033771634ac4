"""Acquires what one attempt needs, and gives each part back exactly once.

Before an attempt, in this order: disk space is reserved, money is reserved, the governor permits the start, reference
images are read, and the ledger records the start. Afterwards money, permit and ledger entry are closed, whatever
happened in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imagen_batch.errors import (
    AttemptError,
    Fatal,
    ImagenBatchError,
    Interrupted,
    ReferenceUnusable,
    StopRun,
    Transient,
)
from imagen_batch.records import ImageRequest, InputImage
from imagen_batch.sending.budget import Reservation
from imagen_batch.sending.context import SendingContext
from imagen_batch.sending.governor import FailureCause, Governor
from imagen_batch.sending.pacing.pace import Permit

_MAX_ERROR_CHARS = 300


class OverBudget(ImagenBatchError):
    """The attempt no longer fits within the budget; it was not made."""


class Attempt:
    """The reservation, the permit and the ledger entry of one attempt.

    Exactly one of `complete`, `close_without_image`, `close_unusable`, `refuse`, `fail` and `leave_open` ends it.
    """

    def __init__(
        self,
        request: ImageRequest,
        context: SendingContext,
        *,
        number: int,
        reservation: Reservation,
        permit: Permit,
    ) -> None:
        self._request = request
        self._context = context
        self._number = number
        self._reservation = reservation
        self._permit = permit
        self._governor: Governor = context.governor(request.model)
        self.started_at = context.clock()
        self.is_closed = False
        self.images: tuple[InputImage, ...] = ()

    def read_references(self) -> None:
        """Read the request's reference images. Raises ReferenceUnusable; what can't be read is not sent."""
        try:
            self.images = self._context.references.load(self._request.references, self._context.store.storage)
        except ReferenceUnusable:
            self._release()
            raise

    def record_sent(self) -> None:
        """Record the start in the ledger. Raises OSError; what can't be recorded must not be sent."""
        try:
            self._context.ledger.record_sent(
                self._request, attempt=self._number, at=self.started_at, provider=self._context.provider.name
            )
        except OSError:
            self._record_ended(Transient("the ledger could not be written", kind="disk"), "no")
            self._release()
            raise

    def complete(self, *, usd: float | None, images: int) -> None:
        """Close an attempt whose answer the caller records as a result."""
        self._settle(usd, images)
        self._governor.record_success(self._permit)

    def close_without_image(self, error: Transient, *, usd: float | None) -> None:
        """Close an attempt that was answered without an image, at its price. The request is sent again."""
        self._record_ended(error, "no", usd=usd)
        self._settle(usd, 0)
        self._governor.record_success(self._permit)

    def close_unusable(self, error: Transient, *, usd: float | None, recorded: bool) -> None:
        """Close an attempt that was answered with unusable images. For the run's health it is a failure.

        `usd` is what the attempt cost, None where no price is known. `recorded` means that the caller records a
        result with that cost; otherwise the ledger gets the attempt's end here, and Interrupted is raised when it
        is one failure too many for the run.
        """
        if usd is None:
            self._record_ended(error, "maybe")
            self._hold()
        else:
            self._settle(usd, self._request.samples)
            if not recorded:
                self._record_ended(error, "yes", usd=usd)
        try:
            self._governor.record_failure(self._permit, error)
        except StopRun as outage:
            self._context.stop.fail(outage)
            if not recorded:
                raise Interrupted from outage

    def refuse(self, error: Fatal) -> None:
        """Close an attempt that the service refused: nothing is charged, and the service's health is unaffected."""
        self._record_ended(error, "no")
        self._release()

    def fail(self, error: Transient) -> FailureCause:
        """Close an attempt that failed with a temporary error.

        Raises Interrupted when it is one failure too many for the run.
        """
        self._record_ended(error, "maybe" if error.maybe_charged else "no")
        if error.maybe_charged:
            self._hold()
        else:
            self.is_closed = True
            self._reservation.release()
        try:
            return self._governor.record_failure(self._permit, error)
        except StopRun as outage:
            self._context.stop.fail(outage)
            raise Interrupted from outage

    def leave_open(self) -> None:
        """Give the permit back. The outcome is unknown: the ledger entry stays open, the money reserved."""
        self._hold()
        self._governor.record_cancellation()

    def _settle(self, usd: float | None, images: int) -> None:
        self.is_closed = True
        self._reservation.settle(self._reservation.cost if usd is None else usd, images)

    def _hold(self) -> None:
        self.is_closed = True
        self._reservation.hold()

    def _release(self) -> None:
        self.is_closed = True
        self._reservation.release()
        self._governor.record_cancellation()

    def _record_ended(self, error: AttemptError, charged: str, *, usd: float | None = None) -> None:
        facts = {"kind": error.kind, "status": error.http_status, "charged": charged, "usd": usd}
        facts["error"] = str(error)[:_MAX_ERROR_CHARS]  # the manifest shows it where no later attempt is made
        self._context.ledger.record_ended(self._request, attempt=self._number, at=self._context.clock(), facts=facts)


@contextmanager
def begin_attempt(request: ImageRequest, context: SendingContext, *, number: int) -> Iterator[Attempt]:
    """Reserve and record everything that attempt `number` needs before it may be sent.

    Raises OverBudget, Interrupted (the run is stopping, or the disk is full), ReferenceUnusable or OSError (the
    ledger).
    """
    _reserve_disk_space(request, context)
    reservation = context.budget.reserve(request.price, request.samples, stop=context.stop)
    if reservation is None:
        raise OverBudget
    try:
        permit = context.governor(request.model).acquire(images=request.samples)
    except BaseException:
        reservation.release()
        raise
    attempt = Attempt(request, context, number=number, reservation=reservation, permit=permit)
    try:
        attempt.read_references()
        attempt.record_sent()
        with context.in_flight.hold(request.samples):
            yield attempt
    finally:
        if not attempt.is_closed:
            attempt.leave_open()


def _reserve_disk_space(request: ImageRequest, context: SendingContext) -> None:
    """Reserve disk space for the images of a request; `generate` releases it when they are stored."""
    kind = request.model, request.options.image_size
    try:
        context.store.disk_space.reserve(request.key, images=request.samples, kind=kind, pause=context.stop.sleep)
    except StopRun as full:
        context.stop.fail(full)
        raise Interrupted from full
