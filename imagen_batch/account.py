"""What became of every sample that the run was asked for?

Goes through the input once more and asks the ledger, read anew from disk, about each sample: what stands
there is true, whatever happened to the process in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from imagen_batch.errors import Transient
from imagen_batch.examine import Examined
from imagen_batch.history import History
from imagen_batch.images import inspect
from imagen_batch.plan import Order, requests_for
from imagen_batch.records import Entry, Outcome, Sample, Trace
from imagen_batch.regular import irregularity
from imagen_batch.storage import Storage

LOOKED_FOR_TOGETHER = 1000  # entries: as many as a store lists at once


@dataclass(frozen=True, slots=True)
class Account:
    """Entries for all samples, in input order. `pending` is the word for those that nothing was sent for."""

    examined: Examined
    past: History
    storage: Storage
    pending: Outcome = "not_attempted"

    def entries(self) -> Iterator[Entry]:
        """One entry for each sample asked for. A picture that was recorded is looked for in its place."""
        recorded = self.recorded()
        while batch := list(islice(recorded, LOOKED_FOR_TOGETHER)):
            samples = as_they_are([entry.sample for entry in batch], self.storage)
            for entry, sample in zip(batch, samples, strict=True):
                yield entry if sample is entry.sample else replace(entry, sample=sample)

    def recorded(self) -> Iterator[Entry]:
        """The same, going by the ledger alone."""
        provider = self.examined.settings.provider
        for order in self.examined.orders():
            row, model, prompt, options = order.row, order.model, order.prompt, order.options
            base = self.examined.asked.base(row.row)
            keys = _Keys(order, base)
            for number in range(1, order.samples + 1):
                sample, trace = self.past.settled(base, number) or self._unmade(base, number, keys)
                yield Entry(row, sample, trace, model.id, provider, model.dialect, prompt, options)

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


def are_gone(samples: Sequence[Sample], storage: Storage) -> list[bool]:
    """For each sample whether it had a picture that is no longer whole in its place."""
    checked = as_they_are(samples, storage)
    return [before.file is not None and after.file is None for before, after in zip(samples, checked, strict=True)]


def as_they_are(samples: Sequence[Sample], storage: Storage) -> list[Sample]:
    """The samples as their files are now: the same, edited since, or failed where the file is gone or torn.

    A file of the recorded size is taken for the recorded one; only others are read.
    """
    sizes = iter(storage.sizes_of([sample.file for sample in samples if sample.file is not None]))
    return [sample if sample.file is None else _as_it_is(sample, next(sizes), storage) for sample in samples]


def _as_it_is(sample: Sample, size: int | None, storage: Storage) -> Sample:
    if size == sample.bytes:
        return sample
    return _file_missing(sample) if size is None else _edited(sample, storage) or _file_missing(sample)


def _edited(sample: Sample, storage: Storage) -> Sample | None:
    """The sample with the facts of its changed file; None where that is no whole image."""
    assert sample.file is not None
    if irregularity(storage, sample.file):
        return None
    try:
        facts = inspect(storage.read(sample.file))
    except (Transient, FileNotFoundError):
        return None
    return replace(
        sample,
        mime_type=facts.mime_type,
        width=facts.width,
        height=facts.height,
        bytes=facts.bytes,
        sha256=facts.sha256,
        c2pa=facts.c2pa,
        error="the file was edited after it was received",
        error_kind="edited",
    )


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


def _file_missing(sample: Sample) -> Sample:
    return replace(
        sample,
        status="failed",
        error=f"{sample.file} was made and paid for, but is no longer whole in the folder",
        error_kind="file_missing",
        file=None,
    )
