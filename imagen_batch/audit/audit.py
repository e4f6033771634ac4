"""Compares the files, the ledger and the tables of a run, and reports every difference.

The ledger counts as true, and the folder is only read. Images that the ledger knows and the input no longer requests
are in order. Each damage is reported once, under the most specific kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import orjson

from imagen_batch.audit.expected import (
    ExpectedSample,
    LedgerTotals,
    Risk,
    expected_samples,
    read_ledger_totals,
)
from imagen_batch.audit.findings import Audit, Finding, lock, sort_findings
from imagen_batch.audit.image_checks import (
    ImageCheck,
    check_images,
    hash_file,
    image_findings,
    image_names,
    integrity_error,
)
from imagen_batch.audit.tables import check_tables
from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.images.store import RESCUED, STAGING
from imagen_batch.images.taken_names import carries_key
from imagen_batch.inputs.stored_input_and_settings import SETTINGS, reload_plan
from imagen_batch.ledger.damage import damaged_lines
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.reviews import SampleKey
from imagen_batch.planning.plan import RunPlan
from imagen_batch.settings import make_settings
from imagen_batch.storage import LEDGER, SET_ASIDE, STATE, Storage, explain_storage_errors, open_storage
from imagen_batch.storage.irregular_files import irregularity
from imagen_batch.storage.list_files import file_names
from imagen_batch.text import plural, usd_at_most

_INPUT_COPIES = tuple(f"{STATE}/input.{suffix}" for suffix in ("csv", "tsv", "txt", "jsonl"))


def audit(location: str | Path) -> Audit:
    """Audit the run in `location`.

    Raises SettingsInvalid if there is no run or a file can't be read, FolderBusy while a run is using the folder.
    """
    with explain_storage_errors(location, to="be read"):
        storage = open_storage(location)
        if storage.is_locked():
            raise FolderBusy(f"a run is using {storage.location}; audit it when that run has ended")
        return audit_storage(storage)


def audit_storage(storage: Storage) -> Audit:
    """Audit the run in `storage`, whose lock the caller may hold."""
    damaged = (*snapshot_findings(storage), *_ledger_findings(storage))
    if damaged:  # nothing to compare with
        return Audit(storage.location, 0, damaged)
    ledger, plan = storage.logs(LEDGER), reload_plan(storage.location)
    totals, history = read_ledger_totals(ledger), read_history(ledger)
    expected = partial(expected_samples, plan, history)
    checks = check_images(expected(), storage, known=frozenset(totals.files.values()))
    untracked = [path for path in image_names(storage) if path not in totals.files]
    unrecorded = _find_unrecorded(history, untracked, storage)
    digests = _hash_untracked(untracked, unrecorded, storage)
    of_samples = [
        *image_findings(checks, _locate_by_digest(digests, storage, damaged=checks.damaged)),
        *_attempt_findings(expected(), unrecorded, totals),
    ]
    of_samples = [_with_lock(finding, plan, history) for finding in of_samples]
    of_files = _untracked_findings(digests, totals, used={finding.found_at for finding in of_samples})
    irregular = _irregular_findings(storage, reported={finding.path for finding in of_samples})
    reported = {(finding.row or 0, finding.sample or 0): finding for finding in of_samples}
    of_tables = check_tables(storage, plan, history, reported=reported)
    return Audit(storage.location, checks.checked, sort_findings((*of_samples, *of_files, *irregular, *of_tables)))


def _with_lock(finding: Finding, plan: RunPlan, history: History) -> Finding:
    if finding.row is None or finding.sample is None or not history.reviews:
        return finding
    is_approved = history.reviews.is_approved(plan.index.row_key(finding.row), finding.sample)
    return lock(finding) if is_approved else finding


def snapshot_findings(storage: Storage) -> Iterator[Finding]:
    """Yield the finding about unreadable settings, or about a stored input that is not a file.

    Raises SettingsInvalid where there is no run at all.
    """
    for name in (SETTINGS, *_INPUT_COPIES):
        if (kind := irregularity(storage, name)) is not None:
            yield Finding("damaged", f"is {kind}; run the command of this run again to rewrite it", name)
            return
    if storage.size(SETTINGS) is None:
        return
    try:
        _check_settings(orjson.loads(storage.read(SETTINGS)))
    except (orjson.JSONDecodeError, SettingsInvalid) as error:
        reason = str(error).splitlines()[0]
        yield Finding("damaged", f"{reason}; run the command of this run again to rewrite it", SETTINGS)


def _check_settings(stored: object) -> None:
    if not isinstance(stored, dict) or not stored.keys() >= {"prompts", "provider"}:
        raise SettingsInvalid("holds no settings of a run")
    make_settings(stored)


def _ledger_findings(storage: Storage) -> Iterator[Finding]:
    for damage, _ in damaged_lines(storage.logs(LEDGER)):
        detail = f"line {damage.line}, byte {damage.offset}: {damage.reason}"
        yield Finding("damaged", detail, f"{LEDGER}/{damage.path.name}")


def _locate_by_digest(
    digests: Mapping[str, bytes], storage: Storage, *, damaged: Collection[ImageCheck]
) -> dict[bytes, str]:
    """Map digests to the files that may hold lost images: untracked ones, and those of repairs and killed runs."""
    paths = {digest: path for path, digest in digests.items()}
    if any(check.kind not in {None, "edited", "mislabelled"} for check in damaged):
        for below in (SET_ASIDE, RESCUED, STAGING):
            for name, _ in storage.sizes(below):
                digest = hash_file(storage, name)
                if digest is not None:
                    paths.setdefault(digest, name)
    return paths


def _irregular_findings(storage: Storage, *, reported: Collection[str | None]) -> Iterator[Finding]:
    """Yield a finding for each link, pipe and the like among the images."""
    for name in file_names(storage, "images"):
        if name not in reported and (kind := irregularity(storage, name)) is not None:
            yield Finding("irregular", f"is {kind}; it is neither followed nor changed", name)


@dataclass(frozen=True, slots=True)
class UnrecordedImage:
    """A whole image of an attempt that has no result. `paths` also has further links to it."""

    sample: SampleKey
    key: str
    paths: tuple[str, ...]


def _find_unrecorded(history: History, untracked: Collection[str], storage: Storage) -> list[UnrecordedImage]:
    by_stem = {str(PurePosixPath(path).with_suffix("")): path for path in untracked}
    images: dict[tuple[str, int], UnrecordedImage] = {}
    for attempt in history.open.values():
        for number, name in zip(attempt.numbers, attempt.names, strict=True):
            if history.status(attempt.base, number) == "ok":
                continue
            # A name chosen by the user does not identify an image: it may be that of an earlier prompt.
            stems = [stem for stem in (name, f"{name}_{attempt.key[:8]}") if carries_key(stem, attempt.key)]
            candidates = [
                f"{STAGING}/{attempt.key}_{number}",
                *(by_stem[stem] for stem in stems if stem in by_stem),
            ]
            whole_images = tuple(
                path for path in candidates if storage.size(path) is not None and not integrity_error(storage, path)
            )
            if whole_images:
                images[attempt.key, number] = UnrecordedImage((attempt.base, number), attempt.key, whole_images)
    return list(images.values())


def _hash_untracked(
    untracked: Iterable[str], unrecorded: Iterable[UnrecordedImage], storage: Storage
) -> dict[str, bytes]:
    """Return the SHA-256 of each untracked file except unrecorded images."""
    claimed = {path for image in unrecorded for path in image.paths}
    digests = ((path, hash_file(storage, path)) for path in untracked if path not in claimed)
    return {path: digest for path, digest in digests if digest}


def _untracked_findings(
    digests: Mapping[str, bytes], totals: LedgerTotals, *, used: Collection[str | None]
) -> Iterator[Finding]:
    """Yield a finding for each untracked file, except those in `used`: they are reported with a lost image."""
    originals = {digest: path for path, digest in totals.files.items()}
    for path, digest in digests.items():
        if path in used:
            continue
        if digest in originals:
            yield Finding("duplicated", f"has the same bytes as {originals[digest]}", path)
        else:
            yield Finding("foreign", "is not in the ledger", path)


def _attempt_findings(
    expected: Iterable[ExpectedSample], unrecorded: Iterable[UnrecordedImage], totals: LedgerTotals
) -> Iterator[Finding]:
    """Yield the findings about attempts without a result: images to record, and possible charges."""
    waiting = {image.sample: image for image in unrecorded}
    for sample in expected:
        image = waiting.pop((sample.base, sample.number), None)
        if image is not None:
            yield _unrecorded_finding(image, sample.row)
        elif sample.status == "unknown":
            yield _undelivered_finding(sample, totals.risks.get((sample.base, sample.number), Risk()))
    for image in waiting.values():
        yield _unrecorded_finding(image, None)


def _unrecorded_finding(image: UnrecordedImage, row: int | None) -> Finding:
    detail = "arrived, but the run ended before the ledger recorded it"
    return Finding("unrecorded", detail, image.paths[0], row, image.sample[1], image.key)


def _undelivered_finding(sample: ExpectedSample, risk: Risk) -> Finding:
    price = None if risk.unpriced else round(risk.usd, 6)
    bound = "an unknown price" if price is None else f"at most {usd_at_most(price)}"
    detail = f"{plural(risk.attempts, 'attempt')} returned no image and may have been charged, {bound}"
    return Finding("paid_undelivered", detail, None, sample.row, sample.number, usd=price)
