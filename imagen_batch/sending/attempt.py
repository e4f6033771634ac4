"""What does one attempt hold, and how is it given back?

Room on disk is looked at, money set aside, leave to start waited for, and the ledger told, in this order, before
an attempt; afterwards each is settled exactly once, whatever happened in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imagen_batch.errors import AttemptError, Fatal, ImagenBatchError, Interrupted, Transient
from imagen_batch.records import ImageRequest
from imagen_batch.sending.budget import Reservation
from imagen_batch.sending.context import SendingContext
from imagen_batch.sending.governor import Governor
from imagen_batch.sending.pace import Permit

_LONGEST_ERROR = 300  # characters


class OverBudget(ImagenBatchError):
    """The attempt does not fit below the wall any more; it was not made."""


class Attempt:
    """The money, the place among those in flight and the ledger's line of one attempt."""

    def __init__(
        self,
        request: ImageRequest,
        context: SendingContext,
        *,
        attempt: int,
        reservation: Reservation,
        permit: Permit,
    ) -> None:
        self._request = request
        self._studio = context
        self._attempt = attempt
        self._reservation = reservation
        self._permit = permit
        self._governor: Governor = context.governor(request.model)
        self.at = context.clock()
        self.settled = False

    def record_sent(self) -> None:
        """Tell the ledger. What it can't take is not sent: raises OSError."""
        try:
            self._studio.ledger.sent(
                self._request, attempt=self._attempt, at=self.at, provider=self._studio.provider.name
            )
        except OSError:
            self._back(Transient("the ledger could not be written", kind="disk"), "no")
            self._release()
            raise

    def answered(self, *, usd: float | None, pictures: int) -> None:
        """The service gave an answer that will be recorded as done."""
        self._settle(usd, pictures)
        self._governor.succeeded(self._permit)

    def no_image(self, error: Transient, *, usd: float | None) -> None:
        """The service answered, and is asked once more: this attempt is closed at its price."""
        self._back(error, "no", usd=usd)
        self._settle(usd, 0)
        self._governor.succeeded(self._permit)

    def unusable(self, error: Transient, *, usd: float | None, recorded: bool) -> None:
        """An answer came, and its images can't be used. To the run's health it is a failure all the same.

        The attempt costs `usd`, None where no price is known. `recorded`: the ledger gets a result with that cost.
        Otherwise the attempt is closed here, and Interrupted is raised when it is one failure too many for the run.
        """
        if usd is None:
            self._back(error, "maybe")
            self.settled = True
            self._reservation.keep()
        else:
            self._settle(usd, self._request.samples)
            if not recorded:
                self._back(error, "yes", usd=usd)
        try:
            self._governor.failed(self._permit, error)
        except Fatal as outage:
            self._studio.stop.fail(outage)
            if not recorded:
                raise Interrupted from outage

    def refused(self, error: Fatal) -> None:
        """The service refused: nothing is charged, and it says nothing about its health."""
        self._back(error, "no")
        self._release()

    def failed(self, error: Transient) -> bool:
        """The attempt failed in a way that may pass. False when it should not count against its request.

        Raises Interrupted when it is one failure too many for the run.
        """
        self._back(error, "maybe" if error.maybe_charged else "no")
        self.settled = True
        (self._reservation.keep if error.maybe_charged else self._reservation.release)()
        try:
            return not self._governor.failed(self._permit, error)
        except Fatal as outage:
            self._studio.stop.fail(outage)
            raise Interrupted from outage

    def abandon(self) -> None:
        """Nothing is known of it: its line stays open, its money set aside."""
        self.settled = True
        self._reservation.keep()
        self._governor.cancelled()

    def _settle(self, usd: float | None, pictures: int) -> None:
        self.settled = True
        self._reservation.settle(self._reservation.cost if usd is None else usd, pictures)

    def _release(self) -> None:
        self.settled = True
        self._reservation.release()
        self._governor.cancelled()

    def _back(self, error: AttemptError, charged: str, *, usd: float | None = None) -> None:
        facts = {"kind": error.kind, "status": error.http_status, "charged": charged, "usd": usd}
        facts["error"] = str(error)[:_LONGEST_ERROR]  # told where no later attempt is made
        self._studio.ledger.back(self._request, attempt=self._attempt, at=self._studio.clock(), facts=facts)


@contextmanager
def begin_attempt(request: ImageRequest, context: SendingContext, *, attempt: int) -> Iterator[Attempt]:
    """Everything an attempt needs before it may be sent.

    Raises OverBudget, Interrupted (a stop, or no room on disk) or OSError (the ledger) when it may not.
    """
    _reserve_room(request, context)
    reservation = context.budget.reserve(request.price, request.samples, stop=context.stop)
    if reservation is None:
        raise OverBudget
    try:
        permit = context.governor(request.model).acquire(images=request.samples)
    except BaseException:
        reservation.release()
        raise
    tab = Attempt(request, context, attempt=attempt, reservation=reservation, permit=permit)
    try:
        tab.record_sent()
        with context.in_flight.holding(request.samples):
            yield tab
    finally:
        if not tab.settled:
            tab.abandon()


def _reserve_room(request: ImageRequest, context: SendingContext) -> None:
    """Reserve disk space for the images of a request; `generate` releases it when they are stored."""
    kind = request.model, request.options.image_size
    try:
        context.store.room.reserve(request.key, images=request.samples, kind=kind, pause=context.stop.sleep)
    except Fatal as full:
        context.stop.fail(full)
        raise Interrupted from full
