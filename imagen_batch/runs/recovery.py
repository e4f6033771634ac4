"""Finds images that were paid for and that the ledger does not know, before they are paid for again.

A ledger can lose lines: it is cut short, deleted, or restored from an older backup. Its images still lie in the
folder, and most say whose they are: by a whole key (`incoming/<key>_<sample>`), by the key and checksum that the
manifest of the last run gives for the file, or by the first eight digits of the key in the file's name. Eight digits
can agree by chance, so they count only where one sample of the input alone can be meant.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath

from imagen_batch.errors import Transient
from imagen_batch.images.store import RESCUED, STAGING, ImageStore
from imagen_batch.images.validate import ImageInfo, validate
from imagen_batch.ledger.history import History, OpenAttempt
from imagen_batch.ledger.reader import DoneRecord, read_records
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.filenames import picture_name
from imagen_batch.planning.keys import request_key
from imagen_batch.planning.pending import pending_requests, pending_rows
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import CostIs, RequestTrace, SampleResult
from imagen_batch.runs.recovery_evidence import read_evidence
from imagen_batch.sending.samples import saved
from imagen_batch.storage import LEDGER, Storage
from imagen_batch.storage.regular_files import file_names, irregularity
from imagen_batch.text import plural

_WHOLE_KEY = re.compile(r"(?:.*/)?([0-9a-f]{64})_([0-9]{1,9})(?:\.\w+)?")
_OWN_NAME = re.compile(r"images/([0-9]{6,9})_([0-9]{2,9})_([0-9a-f]{8})(?:_[0-9a-f]{8})?\.\w+")
_WITH_KEY = re.compile(r".*_([0-9a-f]{8})\.\w+")
_PREFIX = 8
_CHANCE = 1e-4  # of one wrong agreement in the whole folder, where row numbers do not confirm the digits
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Clue:
    """What a file's name or the manifest says about whose image it is. `key` has 8 or 64 digits, or none."""

    file: str
    key: str = ""
    row: int | None = None
    number: int | None = None
    sha256: str | None = None  # what the manifest says; then the file has to agree

    @property
    def is_whole(self) -> bool:
        """Whether the whole key is known."""
        return len(self.key) > _PREFIX


@dataclass(frozen=True, slots=True)
class Owner:
    """A sample of the input, and the key of the request that a file names."""

    row: int
    base: str
    number: int
    key: str


@dataclass(slots=True)
class Recovery:
    """What was found: how many images were recorded, and files that may be paid images and prove nothing."""

    images: int = 0
    rescued: int = 0
    unproven: list[str] = field(default_factory=list)

    def messages(self) -> Iterator[str]:
        """What the user should know, one sentence each."""
        if self.images:
            images = plural(self.images, "image")
            yield f"recovered {images} that the ledger does not know; their cost is an estimate"
        if self.rescued:
            yield f"kept {plural(self.rescued, 'image')} of rows that the input no longer has, in {RESCUED}"
        if self.unproven:
            names = ", ".join(self.unproven[:_SHOWN]) + (", ..." if len(self.unproven) > _SHOWN else "")
            yield (
                f"warning: {plural(len(self.unproven), 'file')} may be images of this run, but neither ledger nor "
                f"manifest says whose they are: {names}. They stay, and the rows concerned are paid for again"
            )


def recover(plan: RunPlan, store: ImageStore, past: History, ledger: LedgerWriter) -> Recovery:
    """Record every image that lies in the folder and that the run would otherwise pay for again."""
    left = [_clue(name) for name, _ in store.storage.sizes(STAGING)]
    clues = [*left, *(_unexplained(plan, past, store.storage) if _is_unfinished(plan, past) else ())]
    recovery = Recovery()
    if clues:
        _Search(plan, store, past, ledger, recovery).run(clues)
    return recovery


@dataclass(slots=True)
class _Search:
    plan: RunPlan
    store: ImageStore
    past: History
    ledger: LedgerWriter
    recovery: Recovery

    def run(self, clues: list[Clue]) -> None:
        owners = find_owners(self.plan, clues)
        samples = sum(samples for _, samples in self.plan.asked)
        taken: dict[Owner, tuple[Clue, ImageInfo]] = {}
        files, digests = _recorded(self.store.storage, {clue.file for clue in clues})
        for clue in clues:
            if clue.file in files or not (owners.get(clue.file) or _is_incoming(clue)):
                continue
            if (facts := self._facts(clue)) is None:
                continue
            owner = _sole_owner(clue, owners.get(clue.file, ()), chances=len(clues) * samples)
            if owner is not None and owner not in taken and not self._is_made(owner):
                taken[owner] = clue, facts
            elif facts.sha256 not in digests:
                self._keep(clue, owner, facts.extension)
        self._record(taken)
        self.recovery.unproven += self._nameless({clue.file for clue in clues if not clue.key} - files)
        for clue in clues:
            if _is_incoming(clue):
                self.store.storage.remove(clue.file)

    def _is_made(self, owner: Owner) -> bool:
        """Also where the row has its image under another key than that of an earlier version."""
        bases = {owner.base, self.plan.asked.base(owner.row)}
        return any(self.past.status(base, owner.number) == "ok" for base in bases)

    def _facts(self, clue: Clue) -> ImageInfo | None:
        """The facts of a whole image; None for anything else, and where the manifest means other bytes."""
        if irregularity(self.store.storage, clue.file):
            return None
        try:
            facts = validate(self.store.storage.read(clue.file))
        except (Transient, FileNotFoundError):
            return None
        return facts if clue.sha256 in {None, facts.sha256} else None

    def _keep(self, clue: Clue, owner: Owner | None, extension: str) -> None:
        """An image that can't be recorded is not thrown away."""
        if _is_incoming(clue):
            self.store.storage.link(clue.file, f"{RESCUED}/{PurePosixPath(clue.file).name}{extension}")
            self.recovery.rescued += 1
        elif owner is None:
            self.recovery.unproven.append(clue.file)

    def _nameless(self, files: Collection[str]) -> list[str]:
        """Those of the files that have the name, given by the user, of an image that is still to be made."""
        if not files or not self.plan.has_names:
            return []
        by_stem = {str(PurePosixPath(file).with_suffix("")): file for file in files}
        lacks = pending_rows(self.plan.asked, self.past, settings=self.plan.settings)
        requests = pending_requests(self.plan.orders(), lacks)
        return [by_stem[name] for request in requests for name in request.names if name in by_stem]

    def _record(self, taken: Mapping[Owner, tuple[Clue, ImageInfo]]) -> None:
        names = self._names(owner for owner, (clue, _) in taken.items() if _is_incoming(clue))
        by_key: defaultdict[str, list[tuple[Owner, Clue, ImageInfo]]] = defaultdict(list)
        for owner, (clue, facts) in taken.items():
            by_key[owner.key].append((owner, clue, facts))
        open_attempts = {attempt.key: attempt for attempt in self.past.open.values()} if by_key else {}
        for key, found in by_key.items():
            attempt = open_attempts.get(key)
            samples = tuple(self._sample(one, names.get(one[0]), attempt) for one in found)
            self._done(found[0][0], samples, attempt)
        self.ledger.flush()

    def _sample(
        self, found: tuple[Owner, Clue, ImageInfo], name: str | None, attempt: OpenAttempt | None
    ) -> SampleResult:
        owner, clue, facts = found
        price = attempt.share if attempt else self.plan.asked.price(owner.row)
        cost: tuple[float | None, CostIs] = (price, "unknown" if price is None else "estimate")
        file = clue.file
        if name is not None:
            file = self.store.publish(clue.file, key=owner.key, name=name + facts.extension, again=True)
        return saved(owner.number, file, facts, cost=cost)

    def _done(self, owner: Owner, samples: tuple[SampleResult, ...], attempt: OpenAttempt | None) -> None:
        self.recovery.images += len(samples)
        if attempt is None:
            trace = RequestTrace(owner.key, attempts=max(1, self.past.attempts_of(owner.key)))
            self.ledger.recovered(owner, samples, trace)
        else:
            trace = RequestTrace(owner.key, attempts=attempt.attempt, http_status=200, sent_at=attempt.at)
            lost = (attempt.share or 0.0) * (len(attempt.numbers) - len(samples))
            self.ledger.recovered(owner, samples, trace, maybe_usd=lost)

    def _names(self, owners: Iterable[Owner]) -> dict[Owner, str]:
        """The names that images without one are to get. Reads the input up to the last of their rows."""
        by_row: defaultdict[int, list[Owner]] = defaultdict(list)
        for owner in owners:
            by_row[owner.row].append(owner)
        names: dict[Owner, str] = {}
        for order in islice(self.plan.orders(), max(by_row, default=0)):
            for owner in by_row.get(order.row.row, ()):
                names[owner] = picture_name(
                    order.stem,
                    sample=owner.number,
                    key=owner.key,
                    extension="",
                    named=order.named,
                    samples=order.samples,
                )
        return names


def find_owners(plan: RunPlan, clues: Iterable[Clue]) -> dict[str, list[Owner]]:
    """For each file the samples of the input whose key it may name."""
    wanted: defaultdict[str, list[Clue]] = defaultdict(list)
    for clue in clues:
        if clue.key:
            wanted[clue.key[:_PREFIX]].append(clue)
    owners: defaultdict[str, list[Owner]] = defaultdict(list)
    for row, base, samples in _bases(plan) if wanted else ():
        per_request = plan.asked.per_request(row)
        for number in range(1, samples + 1):
            for key in possible_keys(base, number, per_request):
                for clue in wanted.get(key[:_PREFIX], ()):
                    if clue.number in {None, number} and (not clue.is_whole or clue.key == key):
                        owners[clue.file].append(Owner(row, base, number, key))
    return owners


def _bases(plan: RunPlan) -> Iterator[tuple[int, str, int]]:
    """Row, base key and number of samples of each row; twice where an earlier version gave it another key."""
    for row, (base, samples) in enumerate(plan.asked, 1):
        yield row, base, samples
    for row, _, earlier, samples in plan.asked.earlier():
        yield row, earlier, samples


def possible_keys(base: str, number: int, per_request: int) -> Iterator[str]:
    """The keys of all requests that may have asked for a sample: what was asked for together is not known."""
    for count in range(1, per_request + 1):
        for first in range(max(1, number - count + 1), number + 1):
            yield request_key(base, first, count)


def _sole_owner(clue: Clue, owners: Collection[Owner], *, chances: int) -> Owner | None:
    """The one sample whose image a file must be; None where another one may be meant as well."""
    if len({(owner.base, owner.number) for owner in owners}) != 1:
        return None
    owner = next(iter(owners))
    if clue.is_whole or (clue.row == owner.row and clue.number == owner.number):
        return owner
    return owner if chances < _CHANCE * 16**_PREFIX else None


def _is_unfinished(plan: RunPlan, past: History) -> bool:
    """Whether a sample may still be paid for, or has been without a result."""
    if next(pending_rows(plan.asked, past, settings=plan.settings), None) is not None:
        return True
    return past.has_open


def _is_incoming(clue: Clue) -> bool:
    return clue.file.startswith(f"{STAGING}/")


def _unexplained(plan: RunPlan, past: History, storage: Storage) -> list[Clue]:
    """Files that the ledger does not account for, as far as that can be told without reading it again.

    Names of the user's own say nothing; they are only looked at when there are more of them than recorded images.
    """
    clues, nameless, explained = [], 0, 0
    for clue in _listed(storage):
        if not clue.key:
            nameless += 1
        elif _is_explained(clue, plan, past):
            explained += 1
        else:
            clues.append(clue)
    if nameless and nameless > past.images_made() - explained:
        clues += [clue for clue in _listed(storage) if not clue.key]
    if not clues:
        return []
    evidence = read_evidence(storage, {clue.file for clue in clues})
    return [_with_evidence(clue, evidence.get(clue.file)) for clue in clues]


def _listed(storage: Storage) -> Iterator[Clue]:
    return (_clue(name) for below in ("images", RESCUED) for name in file_names(storage, below))


def _is_explained(clue: Clue, plan: RunPlan, past: History) -> bool:
    if clue.row is None or clue.number is None or not 0 < clue.row <= plan.rows:
        return False
    base = plan.asked.base(clue.row)
    if past.status(base, clue.number) != "ok":
        return False
    keys = possible_keys(base, clue.number, plan.asked.per_request(clue.row))
    return any(key.startswith(clue.key) for key in keys)


def _with_evidence(clue: Clue, evidence: tuple[str, int, str] | None) -> Clue:
    """The clue with what the manifest says of its file, unless the file's own name says otherwise."""
    if evidence is None or not evidence[0].startswith(clue.key) or clue.number not in {None, evidence[1]}:
        return clue
    return replace(clue, key=evidence[0], number=evidence[1], sha256=evidence[2])


def _clue(file: str) -> Clue:
    if found := _OWN_NAME.fullmatch(file):  # first: it is that of nearly all
        return Clue(file, found[3], row=int(found[1]), number=int(found[2]))
    if found := _WHOLE_KEY.fullmatch(file):
        return Clue(file, found[1], number=int(found[2]))
    if found := _WITH_KEY.fullmatch(file):
        return Clue(file, found[1])
    return Clue(file)


def _recorded(storage: Storage, files: Collection[str]) -> tuple[set[str], set[str]]:
    """Which of the files the ledger knows, and the checksums of all images it knows."""
    known: set[str] = set()
    digests: set[str] = set()
    for record in read_records(storage.logs(LEDGER)):
        if isinstance(record, DoneRecord):
            for sample in record.samples:
                if sample.status == "ok" and sample.file and sample.sha256:
                    digests.add(sample.sha256)
                    if sample.file in files:
                        known.add(sample.file)
    return known, digests
