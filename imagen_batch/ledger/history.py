"""Folds a ledger into the state of each sample and the costs of the run.

Every record is read once. Only a status and the position of its `done` record are kept for each sample; details are
read back from disk when the manifest is written, so memory stays small.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from imagen_batch.ledger.costs import Charges, Cost
from imagen_batch.ledger.files import ledger_files
from imagen_batch.ledger.folds.charge_totals import ChargeTotals
from imagen_batch.ledger.folds.open_attempts import OpenAttempts
from imagen_batch.ledger.folds.sample_states import Failed, SampleStates, number_of, slot_of
from imagen_batch.ledger.identical_images import Duplicates, ImageDigests
from imagen_batch.ledger.reader import records_in
from imagen_batch.ledger.record_lookup import RecordLookup
from imagen_batch.ledger.records import (
    BackRecord,
    DoneRecord,
    KeptRecord,
    Record,
    ReviewRecord,
    SentRecord,
    VersionsRecord,
    as_sample,
)
from imagen_batch.ledger.reviews import Reviews
from imagen_batch.records import ImageRequest, Outcome, RequestTrace, SampleResult


class History:
    """The state of a run, folded from its ledger."""

    def __init__(self) -> None:
        self.reviews = Reviews(self.recorded_status)
        self._attempts = OpenAttempts()
        self._totals = ChargeTotals()
        self._samples = SampleStates()
        self._digests = ImageDigests()
        self._replaced: dict[bytes, list[int]] = {}  # positions of lost images that were made again
        self._costs: dict[bytes, float] = {}  # USD of samples with charges beside those of one image
        self._lookup = RecordLookup()
        self._ends: dict[str, int] = {}  # offset up to which each file was read, by its name

    @property
    def attempts(self) -> int:
        """The number of attempts that were ever started."""
        return self._attempts.count

    @property
    def refused_429(self) -> int:
        """The number of attempts that the service refused because of a quota."""
        return self._attempts.refused_429

    @property
    def open(self) -> dict[tuple[str, int], SentRecord]:
        """The attempts without a recorded end, by key and attempt number, the latest last."""
        return dict(self._attempts.open)

    @property
    def images_recorded(self) -> int:
        """Images that were ever recorded, from all providers."""
        return self._totals.total(None).images

    @property
    def has_unresolved(self) -> bool:
        """Whether any sample is unresolved."""
        return self._samples.has_unresolved

    def charges(self, provider: str | None = None) -> Charges:
        """Return what was charged, with open attempts counted as possibly charged.

        With a `provider`, only charges of its kind count: a simulator's are not real. Records of earlier versions,
        which name no provider, count as either kind.
        """
        return self._totals.total(provider, self._attempts.open.values())

    def max_images_made(self, provider: str | None = None) -> int:
        """Return the upper bound of images made: those recorded and those of attempts without a known outcome."""
        charges = self.charges(provider)
        return charges.images + charges.possible_images

    def cost_bounds(self, provider: str | None = None) -> Cost:
        """Return the cost with open attempts counted as possibly charged."""
        return self.charges(provider).cost

    def cost(self, base: str, number: int) -> float | None:
        """Return all charges for a sample in USD, in all versions; None where its own record states it."""
        if versions := self.reviews.versions(base, number):
            slots = (slot_of(key, number) for key in (base, *(each.key for each in versions)))
            return round(sum(self._slot_cost(slot, number) for slot in slots), 9)
        return self._costs.get(slot_of(base, number)) if self._costs else None

    def open_since(self, moment: float) -> set[tuple[str, int]]:
        """Return the samples, as (base, number), of open attempts that began at `moment` or later."""
        return self._attempts.since(moment)

    def latest_open_attempt(self, base: str, number: int) -> SentRecord | None:
        """Return the latest attempt for a sample that has no recorded end."""
        return self._attempts.latest(self._current(base, number), number)

    def attempts_of(self, key: str) -> int:
        """Return the number of attempts for a request that has no result."""
        return self._attempts.of(key) or 0

    def previous_attempts(self, request: ImageRequest) -> int:
        """Return the number of attempts for a request, with or without a result. The next one continues the count."""
        attempts = self._attempts.of(request.key)
        if attempts is not None:
            return attempts
        details = self.details(request.base, request.first)
        return details[1].attempts if details is not None and details[1].key == request.key else 0

    def images_made(self) -> int:
        """Return the number of samples whose image is recorded."""
        return self._samples.images

    def status(self, base: str, number: int) -> Outcome | None:
        """Return the outcome of a sample's current version; None when nothing is known of it."""
        key = self._current(base, number) if self.reviews else base
        return self._samples.status(slot_of(key, number))

    def have_images(self, slots: Sequence[bytes]) -> list[bool]:
        """Return for each sample whether it has an image, as far as that follows from its slot."""
        return [False] * len(slots) if self.reviews else self._samples.have_images(slots)

    def approved(self, base: str, samples: int) -> int | None:
        """Return the first approved sample of a row; None where none is approved. `details` returns its image."""
        return self.reviews.approved(base, samples)

    def recorded_status(self, key: str, number: int) -> Outcome | None:
        """Return the outcome of the version of a sample that has this row key; None when nothing is known of it."""
        return self._samples.status(slot_of(key, number))

    def is_unresolved(self, base: str, number: int) -> bool:
        """Whether an attempt for a sample may have been charged, and no result followed."""
        return self._samples.is_unresolved(slot_of(base, number))

    def last_failed(self, base: str, number: int) -> Failed | None:
        """Return the latest attempt for a sample, where it failed and nothing followed."""
        return self._samples.failed(slot_of(self._current(base, number), number))

    def recorded_failure(self, key: str, number: int) -> bool:
        """Whether the latest attempt for the version of a sample with this row key failed, and nothing followed."""
        return self._samples.failed(slot_of(key, number)) is not None

    def details(self, base: str, number: int) -> tuple[SampleResult, RequestTrace] | None:
        """Return the recorded result of a sample and the trace of its request; None when there is no result."""
        return self.recorded_details(self._current(base, number), number)

    def recorded_details(self, key: str, number: int) -> tuple[SampleResult, RequestTrace] | None:
        """Return the same for the version of a sample that has this row key."""
        position = self._samples.position(slot_of(key, number))
        if position is None:
            return None
        record = self._lookup.done(position)
        [result] = [sample for sample in record.samples if sample.number == number]
        return as_sample(result), record.trace

    def sole_image_positions(self, slots: Sequence[bytes]) -> list[int | None]:
        """Return for each sample the position of its first image's record, where that decides about the sample.

        None where there is no image, or where other charges or an edited row have to be considered as well. Reviews
        are not considered.
        """
        return self._samples.sole_image_positions(slots, besides=self._costs)

    def recorded_lines(self, positions: Iterable[int]) -> list[bytes]:
        """Return the ledger's lines at these positions."""
        return self._lookup.lines(positions)

    def replaced_images(self, key: str, number: int) -> Iterator[SampleResult]:
        """Yield the images of a version of a sample that was lost and made again, the latest first."""
        for position in reversed(self._replaced.get(slot_of(key, number), ()) if self._replaced else ()):
            yield from (as_sample(each) for each in self._lookup.done(position).samples if each.number == number)

    def final_result(self, base: str, number: int) -> tuple[SampleResult, RequestTrace] | None:
        """Return the same as `details`, but None where the outcome is unknown, also because of a later attempt."""
        return None if self.status(base, number) in {None, "unknown"} else self.details(base, number)

    def duplicates(self) -> Duplicates:
        """Return the samples whose image has the same bytes as that of another sample."""
        repeated = self._digests.find_repeated()
        # checksum -> image, as position and number of its sample -> samples that it stands for
        images: defaultdict[str, defaultdict[tuple[int, int], list[bytes]]] = defaultdict(lambda: defaultdict(list))
        for slot, position in self._samples.images_recorded_in(repeated) if repeated else ():
            number = number_of(slot)
            for sample in self._lookup.done(position).samples:
                if sample.number == number and sample.sha256:
                    images[sample.sha256][position, number].append(slot)
        duplicated = (group for group in images.values() if len(group) > 1)
        return Duplicates(frozenset(slot for group in duplicated for slots in group.values() for slot in slots))

    def kept(self, base: str, number: int) -> Mapping[str, Any] | None:
        """Return what a sample's image was made from, where that differs from the current row."""
        if (version := self.reviews.current(base, number)) is not None:
            return version.facts
        return self.kept_first(base, number)

    def kept_first(self, base: str, number: int) -> Mapping[str, Any] | None:
        """Return what version 1 of a sample was made from, where the row's text was edited since."""
        kept = self._samples.kept(slot_of(base, number))
        if kept is None:
            return None
        position, index = kept
        return self._lookup.kept(position).moves[index].facts

    def fold_unwritten(self, record: KeptRecord) -> None:
        """Add moves that a run is going to record before anything else."""
        self.fold(record, position=self._lookup.add_unwritten(record))

    def fold(self, record: Record, *, position: int) -> None:
        """Add one record. `position` is its position in the ledger's files."""
        if isinstance(record, SentRecord):
            self._attempts.begin(record)
            self._samples.begin(record)
        elif isinstance(record, DoneRecord):
            self._fold_done(record, position)
        elif isinstance(record, BackRecord):
            self._fold_back(record)
        elif isinstance(record, KeptRecord):
            self.reviews.move(record.moves)
            self._samples.move(record, position)
        elif isinstance(record, ReviewRecord | VersionsRecord):
            self.reviews.fold(record)

    def read(self, path: Path) -> None:
        """Fold a ledger file, or only its new records where it was read before."""
        name, begin = path.name, self._lookup.add_file(path)
        for offset, end, record in records_in(path, self._ends.get(name, 0)):
            self.fold(record, position=begin + offset)
            self._ends[name] = end

    def read_folder(self, folder: Path) -> None:
        """Fold the new records of all ledger files of `folder`, in the order of the files' names."""
        for path in ledger_files(folder):
            self.read(path)

    def _current(self, base: str, number: int) -> str:
        """Return the row key of a sample's current version."""
        version = self.reviews.current(base, number)
        return base if version is None else version.key

    def _fold_back(self, record: BackRecord) -> None:
        sent = self._attempts.fail(record)
        if sent is None:
            return
        self._totals.fail(sent, record)
        if record.usd:
            for number in sent.numbers:
                self._add_cost(slot_of(sent.base, number), number, record.usd / len(sent.names))
        self._samples.fail(sent, record)

    def _fold_done(self, record: DoneRecord, position: int) -> None:
        self._totals.finish(self._attempts.finish(record), record)
        for sample in record.samples:
            slot = slot_of(record.base, sample.number)
            has_result = self._samples.has_result(slot)
            if has_result or slot in self._costs:
                self._add_cost(slot, sample.number, sample.cost_usd or 0.0)
            if has_result and sample.status == "ok" and self._samples.status(slot) == "ok":
                self._replaced.setdefault(slot, []).append(self._samples.position(slot) or 0)
            self._samples.finish(slot, sample.status, position)
            if sample.status == "ok" and sample.sha256:
                self._digests.add(sample.sha256, position=position)

    def _add_cost(self, slot: bytes, number: int, usd: float) -> None:
        """Add a charge for a sample beside the one in its result."""
        if slot not in self._costs:
            self._costs[slot] = self._recorded_cost(slot, number)
        self._costs[slot] += usd

    def _slot_cost(self, slot: bytes, number: int) -> float:
        return self._costs[slot] if slot in self._costs else self._recorded_cost(slot, number)

    def _recorded_cost(self, slot: bytes, number: int) -> float:
        position = self._samples.position(slot)
        samples = () if position is None else self._lookup.done(position).samples
        return sum(sample.cost_usd or 0.0 for sample in samples if sample.number == number)


def read_history(folder: Path) -> History:
    """Fold all ledger files of `folder` in the order of their names; an empty history when there are none."""
    history = History()
    history.read_folder(folder)
    return history
