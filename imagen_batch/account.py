"""What became of every sample that the run was asked for?

Goes through the input once more and asks the ledger, read anew from disk, about each sample: what stands
there is true, whatever happened to the process in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from imagen_batch.examine import Examined
from imagen_batch.history import History
from imagen_batch.identity import Identities
from imagen_batch.plan import Order, requests_for
from imagen_batch.records import Entry, Outcome, Sample, Trace
from imagen_batch.storage import Storage


@dataclass(frozen=True, slots=True)
class Account:
    """Entries for all samples, in input order. `pending` is the word for those that nothing was sent for."""

    examined: Examined
    past: History
    storage: Storage
    pending: Outcome = "not_attempted"

    def entries(self) -> Iterator[Entry]:
        """One entry for each sample asked for."""
        identities = Identities(self.examined.settings.provider)
        for order in self.examined.orders():
            base = identities.base_key(model=order.model.id, prompt=order.prompt, options=order.options)
            keys = _Keys(order, base)
            for number in range(1, order.samples + 1):
                sample, trace = self._known(base, number) or self._unmade(base, number, keys)
                yield self._entry(order, sample, trace)

    def _known(self, base: str, number: int) -> tuple[Sample, Trace] | None:
        if self.past.status(base, number) == "unknown":
            return None
        found = self.past.details(base, number)
        if found is None:
            return None
        sample, trace = found
        if _is_gone(sample, self.storage):
            return _file_missing(sample), trace
        return sample, trace

    def _unmade(self, base: str, number: int, keys: _Keys) -> tuple[Sample, Trace]:
        key = keys.of(number)
        if self.past.status(base, number) != "unknown":
            return Sample(number=number, status=self.pending), Trace(key)
        recorded = self.past.details(base, number)
        if recorded is not None and recorded[0].status == "unknown":
            return recorded
        message = "the run ended while the reply was awaited: it may have been charged"
        sample = Sample(number, "unknown", error=message, error_kind="interrupted", cost_is="unknown")
        attempt = self.past.last_open(base, number)
        return sample, Trace(attempt.key, attempts=attempt.attempt, sent_at=attempt.at) if attempt else Trace(key)

    def _entry(self, order: Order, sample: Sample, trace: Trace) -> Entry:
        return Entry(
            row=order.row,
            sample=sample,
            trace=trace,
            model=order.model.id,
            provider=self.examined.settings.provider,
            dialect=order.model.dialect,
            prompt=order.prompt,
            options=order.options,
        )


class PastOnDisk:
    """The past as it can be seen in the folder: of a picture that is gone nothing is known."""

    def __init__(self, past: History, storage: Storage) -> None:
        self._past = past
        self._storage = storage

    def status(self, base: str, number: int) -> Outcome | None:
        """What became of a sample; None when nothing is known of it."""
        status = self._past.status(base, number)
        if status == "ok":
            found = self._past.details(base, number)
            if found is not None and _is_gone(found[0], self._storage):
                return None
        return status


class _Keys:
    """The keys of the requests that would be sent for a row's samples; made only when asked for."""

    def __init__(self, order: Order, base: str) -> None:
        self._order = order
        self._base = base
        self._keys: dict[int, str] = {}

    def of(self, number: int) -> str:
        if not self._keys:
            numbers = range(1, self._order.samples + 1)
            for request in requests_for(self._order, self._base, numbers):
                self._keys.update(dict.fromkeys(request.numbers, request.key))
        return self._keys[number]


def _is_gone(sample: Sample, storage: Storage) -> bool:
    return sample.file is not None and storage.size(sample.file) != sample.bytes


def _file_missing(sample: Sample) -> Sample:
    return replace(
        sample,
        status="failed",
        error=f"{sample.file} was made and paid for, but is no longer whole in the folder",
        error_kind="file_missing",
        file=None,
    )
