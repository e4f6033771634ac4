"""Infers from a file's name, and from the manifest, which sample of the input an image may belong to.

A file may carry a whole key (`incoming/<key>_<sample>`), or the first eight digits of one in its name; the manifest
of the last run has key and checksum of each file. Eight digits can agree by chance, so they count only where exactly
one sample of the input is possible.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from imagen_batch.images.store import RESCUED, STAGING
from imagen_batch.ledger.history import History
from imagen_batch.planning.keys import request_key
from imagen_batch.planning.plan import RunPlan
from imagen_batch.runs.recovery.manifest_evidence import Evidence, read_evidence
from imagen_batch.storage import Storage
from imagen_batch.storage.list_files import file_names

_WHOLE_KEY = re.compile(r"(?:.*/)?([0-9a-f]{64})_([0-9]{1,9})(?:\.\w+)?")
_OWN_NAME = re.compile(r"images/([0-9]{6,9})_([0-9]{2,9})_([0-9a-f]{8})(?:_[0-9a-f]{8})?\.\w+")
_WITH_KEY = re.compile(r".*_([0-9a-f]{8})\.\w+")
_PREFIX = 8
# The accepted probability of one wrong match in the whole folder, where row numbers do not confirm the digits.
_MAX_MISMATCH_PROBABILITY = 1e-4


@dataclass(frozen=True, slots=True)
class Clue:
    """What a file's name or the manifest says about the image's sample. `key` has 8 or 64 digits, or is empty."""

    file: str
    key: str = ""
    row: int | None = None
    number: int | None = None
    sha256: str | None = None  # from the manifest; then the file has to have it

    @property
    def is_whole(self) -> bool:
        """Whether the whole key is known."""
        return len(self.key) > _PREFIX

    @property
    def is_staged(self) -> bool:
        """Whether the file is in the staging folder, where images wait for their ledger record."""
        return self.file.startswith(f"{STAGING}/")


@dataclass(frozen=True, slots=True)
class Owner:
    """A sample of the input, and the key of the request that a file names."""

    row: int
    base: str
    number: int
    key: str


def find_owners(plan: RunPlan, clues: Iterable[Clue]) -> dict[str, list[Owner]]:
    """Return for each file the samples of the input whose key it may name."""
    wanted: defaultdict[str, list[Clue]] = defaultdict(list)
    for clue in clues:
        if clue.key:
            wanted[clue.key[:_PREFIX]].append(clue)
    owners: defaultdict[str, list[Owner]] = defaultdict(list)
    for row, base, samples in _row_keys(plan) if wanted else ():
        per_request = plan.index.per_request(row)
        for number in range(1, samples + 1):
            for key in possible_keys(base, number, per_request):
                for clue in wanted.get(key[:_PREFIX], ()):
                    if clue.number in {None, number} and (not clue.is_whole or clue.key == key):
                        owners[clue.file].append(Owner(row, base, number, key))
    return owners


def _row_keys(plan: RunPlan) -> Iterator[tuple[int, str, int]]:
    """Yield row, row key and number of samples of each row; twice where an earlier version gave it another key."""
    for row, (base, samples) in enumerate(plan.index, 1):
        yield row, base, samples
    for row, _, earlier, samples in plan.index.earlier_keys():
        yield row, earlier, samples


def possible_keys(base: str, number: int, per_request: int) -> Iterator[str]:
    """Yield the keys of all requests that may have included a sample: how samples were grouped is not known."""
    for count in range(1, per_request + 1):
        for first in range(max(1, number - count + 1), number + 1):
            yield request_key(base, first, count)


def sole_owner(clue: Clue, owners: Collection[Owner], *, comparisons: int) -> Owner | None:
    """Return the one sample that a file must belong to; None where another one is possible.

    `comparisons` is how many pairs of file and sample were compared.
    """
    if len({(owner.base, owner.number) for owner in owners}) != 1:
        return None
    owner = next(iter(owners))
    if clue.is_whole or (clue.row == owner.row and clue.number == owner.number):
        return owner
    return owner if comparisons < _MAX_MISMATCH_PROBABILITY * 16**_PREFIX else None


def read_clue(file: str) -> Clue:
    """Return what the name of a file says."""
    if match := _OWN_NAME.fullmatch(file):  # first, because nearly all names are of this form
        return Clue(file, match[3], row=int(match[1]), number=int(match[2]))
    if match := _WHOLE_KEY.fullmatch(file):
        return Clue(file, match[1], number=int(match[2]))
    if match := _WITH_KEY.fullmatch(file):
        return Clue(file, match[1])
    return Clue(file)


def find_unexplained(plan: RunPlan, history: History, storage: Storage) -> list[Clue]:
    """Return clues to files that the ledger does not account for, as far as that is known without reading it again.

    Names that the user chose identify no sample. They count only when there are more of them than recorded images.
    """
    clues, without_key, explained = [], 0, 0
    for clue in _image_clues(storage):
        if not clue.key:
            without_key += 1
        elif _is_explained(clue, plan, history):
            explained += 1
        else:
            clues.append(clue)
    if without_key and without_key > history.images_made() - explained:
        clues += [clue for clue in _image_clues(storage) if not clue.key]
    if not clues:
        return []
    evidence = read_evidence(storage, {clue.file for clue in clues})
    return [_with_evidence(clue, evidence.get(clue.file)) for clue in clues]


def _image_clues(storage: Storage) -> Iterator[Clue]:
    return (read_clue(name) for folder in ("images", RESCUED) for name in file_names(storage, folder))


def _is_explained(clue: Clue, plan: RunPlan, history: History) -> bool:
    if clue.row is None or clue.number is None or not 0 < clue.row <= plan.rows:
        return False
    base = plan.index.row_key(clue.row)
    if history.status(base, clue.number) != "ok":
        return False
    keys = possible_keys(base, clue.number, plan.index.per_request(clue.row))
    return any(key.startswith(clue.key) for key in keys)


def _with_evidence(clue: Clue, evidence: Evidence | None) -> Clue:
    """Return the clue with what the manifest says of its file, unless the file's own name contradicts it."""
    if evidence is None or not evidence.key.startswith(clue.key) or clue.number not in {None, evidence.number}:
        return clue
    return replace(clue, key=evidence.key, number=evidence.number, sha256=evidence.sha256)
