"""Records paid images that the ledger does not list, before they are paid for again.

A ledger can lose lines: it is truncated, deleted, or restored from an older backup. Its images are still in the
folder, and most can be identified (see `guess_sample_of_file.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

from imagen_batch.errors import InvalidImage
from imagen_batch.images.store import RESCUED, STAGING, ImageStore
from imagen_batch.images.validate import ImageInfo, validate
from imagen_batch.ledger.history import History
from imagen_batch.ledger.reader import read_records
from imagen_batch.ledger.records import DoneRecord, SentRecord
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.file_names import image_name
from imagen_batch.planning.pending import pending_requests, pending_rows
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import RequestTrace, SampleResult
from imagen_batch.runs.recovery.guess_sample_of_file import (
    Clue,
    Owner,
    find_owners,
    find_unexplained,
    read_clue,
    sole_owner,
)
from imagen_batch.sending.build_sample_result import estimate_cost, saved_result
from imagen_batch.storage import LEDGER, Storage
from imagen_batch.storage.irregular_files import irregularity
from imagen_batch.text import plural

_FILES_SHOWN = 3


@dataclass(slots=True)
class Recovery:
    """How many images were recorded and kept, and files that may be paid images but can't be identified."""

    images: int = 0
    rescued: int = 0
    unproven: list[str] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)  # where the images are that were kept

    def messages(self) -> Iterator[str]:
        """Yield the messages for the user, one sentence each."""
        if self.images:
            images = plural(self.images, "image")
            yield f"recovered {images} that were missing from the ledger; their cost is an estimate"
        if self.rescued:
            yield f"kept {plural(self.rescued, 'image')} of rows that are no longer in the input, in {RESCUED}"
        if self.unproven:
            names = ", ".join(self.unproven[:_FILES_SHOWN]) + (", ..." if len(self.unproven) > _FILES_SHOWN else "")
            yield (
                f"warning: {plural(len(self.unproven), 'file')} may be images of this run, but neither ledger nor "
                f"manifest says of which rows: {names}. They are kept, and the rows are paid for again"
            )


def recover_unrecorded(plan: RunPlan, store: ImageStore, history: History, ledger: LedgerWriter) -> Recovery:
    """Record every image in the folder that the run would otherwise pay for again. The plan follows the history.

    An image that is found gives the rows that use it their keys, and their images are found in the next pass.
    """
    recovery = Recovery()
    while True:
        found, waiting = recovery.images, plan.index.waiting_rows
        recovery.unproven.clear()
        _recover_once(plan, store, history, ledger, recovery)
        if recovery.images == found or not waiting:
            return recovery
        history.read_folder(store.storage.logs(LEDGER))
        plan.follow(history, refresh=True)
        if plan.index.waiting_rows == waiting:
            return recovery


def _recover_once(
    plan: RunPlan, store: ImageStore, history: History, ledger: LedgerWriter, recovery: Recovery
) -> None:
    clues = [read_clue(name) for name, _ in store.storage.sizes(STAGING)]
    if _is_unfinished(plan, history):
        clues += find_unexplained(plan, history, store.storage)
    if clues:
        _Search(plan, store, history, ledger, recovery).run(clues)


@dataclass(slots=True)
class _Search:
    plan: RunPlan
    store: ImageStore
    history: History
    ledger: LedgerWriter
    recovery: Recovery

    def run(self, clues: list[Clue]) -> None:
        owners = find_owners(self.plan, clues)
        samples = sum(samples for _, samples in self.plan.index)
        matches: dict[Owner, tuple[Clue, ImageInfo]] = {}
        recorded, digests = _recorded_files(self.store.storage, {clue.file for clue in clues})
        for clue in clues:
            if clue.file in recorded or not (owners.get(clue.file) or clue.is_staged):
                continue
            if (info := self._validate(clue)) is None:
                continue
            owner = sole_owner(clue, owners.get(clue.file, ()), comparisons=len(clues) * samples)
            if owner is not None and owner not in matches and not self._has_image(owner):
                matches[owner] = clue, info
            elif info.sha256 not in digests:
                self._keep(clue, owner, info.extension)
        self._record(matches)
        self.recovery.rescued -= len(self.recovery.kept.intersection(clue.file for clue, _ in matches.values()))
        self.recovery.unproven += self._pending_names({clue.file for clue in clues if not clue.key} - recorded)
        for clue in clues:
            if clue.is_staged:
                self.store.storage.remove(clue.file)

    def _has_image(self, owner: Owner) -> bool:
        """Whether the sample has an image, under its present key or that of an earlier version."""
        bases = {owner.base, self.plan.index.row_key(owner.row)}
        return any(self.history.status(base, owner.number) == "ok" for base in bases)

    def _validate(self, clue: Clue) -> ImageInfo | None:
        """Return the facts of a complete image; None for anything else, or if the manifest has another checksum."""
        if irregularity(self.store.storage, clue.file):
            return None
        try:
            info = validate(self.store.storage.read(clue.file))
        except (InvalidImage, FileNotFoundError):
            return None
        return info if clue.sha256 in {None, info.sha256} else None

    def _keep(self, clue: Clue, owner: Owner | None, extension: str) -> None:
        """Keep an image that can't be recorded: move it out of staging, or report it."""
        if clue.is_staged:
            place = f"{RESCUED}/{PurePosixPath(clue.file).name}{extension}"
            self.store.storage.link(clue.file, place)
            self.recovery.kept.add(place)
            self.recovery.rescued += 1
        elif owner is None:
            self.recovery.unproven.append(clue.file)

    def _pending_names(self, files: Collection[str]) -> list[str]:
        """Return the files whose names the user chose for images that are still to be made."""
        if not files or not self.plan.totals.has_names:
            return []
        by_stem = {str(PurePosixPath(file).with_suffix("")): file for file in files}
        pending = pending_rows(self.plan.index, self.history, settings=self.plan.settings)
        requests = pending_requests(self.plan.planned_rows(), pending)
        return [by_stem[name] for request in requests for name in request.names if name in by_stem]

    def _record(self, matches: Mapping[Owner, tuple[Clue, ImageInfo]]) -> None:
        names = self._names(owner for owner, (clue, _) in matches.items() if clue.is_staged)
        by_key: defaultdict[str, list[tuple[Owner, Clue, ImageInfo]]] = defaultdict(list)
        for owner, (clue, info) in matches.items():
            by_key[owner.key].append((owner, clue, info))
        open_attempts = {attempt.key: attempt for attempt in self.history.open.values()} if by_key else {}
        for key, group in by_key.items():
            attempt = open_attempts.get(key)
            samples = tuple(self._sample(match, names.get(match[0]), attempt) for match in group)
            self._record_samples(group[0][0], samples, attempt)
        self.ledger.flush()

    def _sample(
        self, match: tuple[Owner, Clue, ImageInfo], name: str | None, attempt: SentRecord | None
    ) -> SampleResult:
        owner, clue, info = match
        cost = estimate_cost(attempt.share if attempt else self.plan.index.price(owner.row))
        file = clue.file
        if name is not None:
            file = self.store.publish(clue.file, key=owner.key, name=name + info.extension, may_exist=True)
        return saved_result(owner.number, file, info, cost=cost)

    def _record_samples(self, owner: Owner, samples: tuple[SampleResult, ...], attempt: SentRecord | None) -> None:
        self.recovery.images += len(samples)
        if attempt is None:
            trace = RequestTrace(owner.key, attempts=max(1, self.history.attempts_of(owner.key)))
            self.ledger.record_result(owner, samples, trace, recovered=True)
        else:
            trace = RequestTrace(owner.key, attempts=attempt.attempt, http_status=200, sent_at=attempt.at)
            lost_usd = attempt.lost_usd(saved=len(samples))
            self.ledger.record_result(owner, samples, trace, maybe_usd=lost_usd, recovered=True)

    def _names(self, owners: Iterable[Owner]) -> dict[Owner, str]:
        """Return the final names of staged images. Reads the input up to the last of their rows."""
        by_row: defaultdict[int, list[Owner]] = defaultdict(list)
        for owner in owners:
            by_row[owner.row].append(owner)
        names: dict[Owner, str] = {}
        for planned in islice(self.plan.planned_rows(), max(by_row, default=0)):
            for owner in by_row.get(planned.row.row, ()):
                names[owner] = image_name(
                    planned.stem,
                    sample=owner.number,
                    key=owner.key,
                    extension="",
                    named=planned.has_custom_name,
                    samples=planned.samples,
                )
        return names


def _is_unfinished(plan: RunPlan, history: History) -> bool:
    """Whether a sample may still be paid for, or was sent and has no result."""
    if next(pending_rows(plan.index, history, settings=plan.settings), None) is not None:
        return True
    return history.has_unresolved


def _recorded_files(storage: Storage, files: Collection[str]) -> tuple[set[str], set[str]]:
    """Return the files that the ledger lists, and the checksums of all images in it."""
    recorded: set[str] = set()
    digests: set[str] = set()
    for record in read_records(storage.logs(LEDGER)):
        if isinstance(record, DoneRecord):
            for sample in record.samples:
                if sample.status == "ok" and sample.file and sample.sha256:
                    digests.add(sample.sha256)
                    if sample.file in files:
                        recorded.add(sample.file)
    return recorded, digests
