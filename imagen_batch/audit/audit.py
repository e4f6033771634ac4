"""Do the disk, the ledger and the tables of a run agree?

The ledger is taken at its word and the folder is only read. Pictures that the ledger knows and the input no
longer asks for are as they should be. Each damage is told once, under the kind that says most about it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import orjson

from imagen_batch.audit.expected import ExpectedSample, Recorded, Risk, Slot, expected_samples, read_recorded
from imagen_batch.audit.findings import Audit, Finding, in_order
from imagen_batch.audit.pictures import (
    ImageCheck,
    check_images,
    digest_of,
    image_findings,
    integrity_error,
    picture_files,
)
from imagen_batch.audit.tables import check_tables
from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.images.store import RESCUED, STAGING
from imagen_batch.inputs.snapshot import SETTINGS, reload_plan
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.reader import damaged_lines
from imagen_batch.settings import validated
from imagen_batch.storage import LEDGER, SET_ASIDE, STATE, Storage, in_reach, open_storage
from imagen_batch.storage.regular_files import file_names, irregularity


def audit(place: str | Path) -> Audit:
    """Compare everything in `place`.

    Raises SettingsInvalid where there is no run or a file can't be read, FolderBusy while a run is at work.
    """
    with in_reach(place, to="be read"):
        storage = open_storage(place)
        if storage.is_locked():
            raise FolderBusy(f"a run is at work in {storage.place}: it can be audited when that has ended")
        return audited(storage)


def audited(storage: Storage) -> Audit:
    """The same for whoever holds the lock."""
    damaged = (*unreadable(storage), *_damaged_lines(storage))
    if damaged:  # there is nothing to compare with
        return Audit(storage.place, 0, damaged)
    ledger, plan = storage.logs(LEDGER), reload_plan(storage.place)
    recorded, past = read_recorded(ledger), read_history(ledger)
    asked = partial(expected_samples, plan, past)
    seen = check_images(asked(), storage, known=frozenset(recorded.files.values()))
    strays = [path for path in picture_files(storage) if path not in recorded.files]
    arrived = _arrived(past, strays, storage)
    digests = _digests(strays, arrived, storage)
    of_samples = [
        *image_findings(seen, _places(digests, storage, wanted=seen.bad)),
        *_unanswered(asked(), arrived, recorded),
    ]
    of_files = _untracked(digests, recorded, used={one.found_at for one in of_samples})
    odd = _irregular(storage, told={one.path for one in of_samples})
    reported = {(one.row or 0, one.sample or 0): one for one in of_samples}
    of_tables = check_tables(storage, plan, past, reported=reported)
    return Audit(storage.place, seen.checked, in_order((*of_samples, *of_files, *odd, *of_tables)))


def unreadable(storage: Storage) -> Iterator[Finding]:
    """The finding about settings that can't be read, or about a stored input that is no file.

    Raises SettingsInvalid where there is no run at all.
    """
    for name in (SETTINGS, *input_copies(storage)):
        if (odd := irregularity(storage, name)) is not None:
            yield Finding("damaged", f"is {odd}: run the command of this run again, which writes it anew", name)
            return
    if storage.size(SETTINGS) is None:
        return
    try:
        _check_settings(orjson.loads(storage.read(SETTINGS)))
    except (orjson.JSONDecodeError, SettingsInvalid) as error:
        reason = str(error).splitlines()[0]
        yield Finding("damaged", f"{reason}; run the command of this run again, which writes it anew", SETTINGS)


def _check_settings(stored: object) -> None:
    if not isinstance(stored, dict) or not stored.keys() >= {"prompts", "provider"}:
        raise SettingsInvalid("holds no settings of a run")
    validated(stored)


def input_copies(storage: Storage) -> list[str]:
    """Names that the copy of the prompt file may have, of those that are there, whatever they are."""
    names = (f"{STATE}/input.{one}" for one in ("csv", "tsv", "txt", "jsonl"))
    return [name for name in names if irregularity(storage, name) or storage.size(name) is not None]


def _damaged_lines(storage: Storage) -> Iterator[Finding]:
    for damage, _ in damaged_lines(storage.logs(LEDGER)):
        detail = f"line {damage.line}, byte {damage.offset}: {damage.reason}"
        yield Finding("damaged", detail, f"{LEDGER}/{damage.path.name}")


def _places(digests: Mapping[str, bytes], storage: Storage, *, wanted: Collection[ImageCheck]) -> dict[bytes, str]:
    """Where the bytes of lost images may lie: among strays, and where a repair or a killed run left files."""
    places = {digest: path for path, digest in digests.items()}
    if any(look.kind not in {None, "edited", "mislabelled"} for look in wanted):
        for below in (SET_ASIDE, RESCUED, STAGING):
            for name, _ in storage.sizes(below):
                digest = digest_of(storage, name)
                if digest is not None:
                    places.setdefault(digest, name)
    return places


def _irregular(storage: Storage, *, told: Collection[str | None]) -> Iterator[Finding]:
    """Links, pipes and the like among the images."""
    for name in file_names(storage, "images"):
        if name not in told and (odd := irregularity(storage, name)) is not None:
            yield Finding("irregular", f"is {odd}; nothing follows or changes it", name)


@dataclass(frozen=True, slots=True)
class UnrecordedImage:
    """A whole picture of an attempt that has no result. `paths` also names further links to it."""

    slot: Slot
    key: str
    paths: tuple[str, ...]


def _arrived(past: History, strays: Collection[str], storage: Storage) -> list[UnrecordedImage]:
    by_stem = {str(PurePosixPath(path).with_suffix("")): path for path in strays}
    found: dict[tuple[str, int], UnrecordedImage] = {}
    for attempt in past.open.values():
        for number, name in zip(attempt.numbers, attempt.names, strict=True):
            if past.status(attempt.base, number) == "ok":
                continue
            # A name of the user's own does not say whose image it is: that may be an earlier prompt's.
            stems = [stem for stem in (name, f"{name}_{attempt.key[:8]}") if stem.endswith(f"_{attempt.key[:8]}")]
            named = [by_stem[stem] for stem in stems if stem in by_stem]
            places = [f"{STAGING}/{attempt.key}_{number}", *named]
            whole = tuple(
                place for place in places if storage.size(place) is not None and not integrity_error(storage, place)
            )
            if whole:
                found[attempt.key, number] = UnrecordedImage((attempt.base, number), attempt.key, whole)
    return list(found.values())


def _digests(strays: Iterable[str], arrived: Iterable[UnrecordedImage], storage: Storage) -> dict[str, bytes]:
    """SHA-256 of each stray but those that arrived without a record."""
    claim = {path for one in arrived for path in one.paths}
    hashed = ((path, digest_of(storage, path)) for path in strays if path not in claim)
    return {path: digest for path, digest in hashed if digest}


def _untracked(
    digests: Mapping[str, bytes], recorded: Recorded, *, used: Collection[str | None]
) -> Iterator[Finding]:
    """Files that nothing accounts for; those in `used` were told as the place of a lost picture."""
    originals = {digest: path for path, digest in recorded.files.items()}
    for path, digest in digests.items():
        if path in used:
            continue
        if digest in originals:
            yield Finding("duplicated", f"the same bytes as {originals[digest]}", path)
        else:
            yield Finding("foreign", "nothing in the ledger accounts for it", path)


def _unanswered(
    asked: Iterable[ExpectedSample], arrived: Iterable[UnrecordedImage], recorded: Recorded
) -> Iterator[Finding]:
    """The findings about attempts without a result: their picture lies there, or may have been charged."""
    waiting = {one.slot: one for one in arrived}
    for one in asked:
        arrival = waiting.pop((one.base, one.number), None)
        if arrival is not None:
            yield _unrecorded(arrival, one.row)
        elif one.status == "unknown":
            yield _undelivered(one, recorded.risks.get((one.base, one.number), Risk()))
    for arrival in waiting.values():
        yield _unrecorded(arrival, None)


def _unrecorded(arrival: UnrecordedImage, row: int | None) -> Finding:
    detail = "it came, but the run ended before the ledger had its record"
    return Finding("unrecorded", detail, arrival.paths[0], row, arrival.slot[1], arrival.key)


def _undelivered(one: ExpectedSample, risk: Risk) -> Finding:
    usd = None if risk.unpriced else round(risk.usd, 6)
    most = "an unknown price" if usd is None else f"at most ${usd:.2f}"
    detail = f"{risk.attempts} attempt(s) brought no picture and may have been charged, {most}"
    return Finding("paid_undelivered", detail, None, one.row, one.number, usd=usd)
