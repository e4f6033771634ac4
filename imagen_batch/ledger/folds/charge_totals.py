"""Adds up the charges of a ledger by kind of provider, and those of samples that cost more than their image."""

from __future__ import annotations

from collections.abc import Iterable

from imagen_batch.ledger.costs import Charges
from imagen_batch.ledger.records import BackRecord, DoneRecord, SentRecord


class ChargeTotals:
    """The charges of attempts that ended. Records of earlier versions, which name no provider, are of kind ""."""

    def __init__(self) -> None:
        self._by_kind: dict[str, Charges] = {}

    def fail(self, sent: SentRecord, back: BackRecord) -> None:
        """Add an attempt that ended without a result."""
        charges = self._of(sent)
        charges.cost.spent += back.usd or 0.0  # of an answer that was unusable
        if back.charged == "maybe":
            charges.add_possible(sent.usd, images=len(sent.names))
        elif back.charged == "yes":  # the images came, and can't be used
            charges.possible_images += len(sent.names)

    def finish(self, sent: SentRecord | None, done: DoneRecord) -> None:
        """Add a result. `sent` is the attempt that returned it, where that is known."""
        charges = self._of(sent)
        cost = charges.cost
        if done.maybe_usd:
            cost.possible += done.maybe_usd
            charges.lost_attempts += 1
        for sample in done.samples:
            cost.spent += sample.cost_usd or 0.0
            if sample.status == "ok":
                charges.images += 1
                cost.unpriced += sample.cost_is == "unknown"

    def total(self, provider: str | None, open_attempts: Iterable[SentRecord] = ()) -> Charges:
        """Return the charges of a provider's kind and of records that name no provider; of all for None.

        Open attempts count as possibly charged.
        """
        kinds = set(self._by_kind) if provider is None else {"", kind_of(provider)}
        charges = sum((self._by_kind[kind] for kind in kinds & set(self._by_kind)), start=Charges())
        for sent in open_attempts:
            if provider is None or _kind(sent) in kinds:
                charges.add_possible(sent.usd, images=len(sent.names))
        return charges

    def _of(self, sent: SentRecord | None) -> Charges:
        kind = _kind(sent)
        return self._by_kind.get(kind) or self._by_kind.setdefault(kind, Charges())


def kind_of(provider: str) -> str:
    """Return the kind of a provider: "simulator" charges nothing, "real" does."""
    return "simulator" if provider == "simulator" else "real"


def _kind(sent: SentRecord | None) -> str:
    """Return the kind of provider an attempt was sent to; "" where an earlier version did not record it."""
    return kind_of(sent.provider) if sent is not None and sent.provider else ""
