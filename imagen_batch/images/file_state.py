"""Compares recorded images with their current files: unchanged, edited or missing."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace

from imagen_batch.errors import InvalidImage
from imagen_batch.images.validate import validate
from imagen_batch.records import SampleResult
from imagen_batch.storage import Storage
from imagen_batch.storage.irregular_files import irregularity

FILES_PER_LOOKUP = 1000  # as many as an object store lists at once
# No image can have such a name. A file that is only unreadable now (permissions, a bad block) must not be paid for
# again.
_UNUSABLE_NAME = {errno.ELOOP, errno.ENAMETOOLONG}


def missing_files(samples: Sequence[SampleResult], storage: Storage) -> list[bool]:
    """Return for each sample whether its recorded image is now missing or damaged."""
    current = current_state(samples, storage)
    return [before.file is not None and after.file is None for before, after in zip(samples, current, strict=True)]


def find_unchanged(files: Sequence[str], sizes: Sequence[int | None], storage: Storage) -> list[bool]:
    """Return for each file whether it exists and has this size."""
    current: list[int | None] = []
    for begin in range(0, len(files), FILES_PER_LOOKUP):
        current += _sizes(files[begin : begin + FILES_PER_LOOKUP], storage)
    return [size is not None and size == recorded for size, recorded in zip(current, sizes, strict=True)]


def current_state(samples: Sequence[SampleResult], storage: Storage) -> list[SampleResult]:
    """Return the samples updated to their current files: unchanged, edited, or failed if missing or damaged.

    A file of the recorded size counts as unchanged; only other files are read.
    """
    sizes = iter(_sizes([sample.file for sample in samples if sample.file is not None], storage))
    return [sample if sample.file is None else _update(sample, next(sizes), storage) for sample in samples]


def _update(sample: SampleResult, size: int | None, storage: Storage) -> SampleResult:
    if size == sample.bytes:
        return sample
    return _mark_missing(sample) if size is None else _mark_edited(sample, storage) or _mark_missing(sample)


def _mark_edited(sample: SampleResult, storage: Storage) -> SampleResult | None:
    """Return the sample with the facts of its changed file; None where the file is not a whole image."""
    assert sample.file is not None
    if irregularity(storage, sample.file):
        return None
    try:
        info = validate(storage.read(sample.file))
    except (InvalidImage, FileNotFoundError):
        return None
    edited = replace(sample, error="the file was edited after it was received", error_kind="edited")
    return info.add_to(edited)


def _sizes(files: Sequence[str], storage: Storage) -> Sequence[int | None]:
    """Return the bytes of each file; None for a link to itself, which must not hide the state of the others."""
    try:
        return storage.sizes_of(files)
    except OSError as error:
        if error.errno not in _UNUSABLE_NAME:
            raise
        return [_size(file, storage) for file in files]


def _size(file: str, storage: Storage) -> int | None:
    try:
        return storage.size(file)
    except OSError as error:
        if error.errno not in _UNUSABLE_NAME:
            raise
        return None


def _mark_missing(sample: SampleResult) -> SampleResult:
    return replace(
        sample,
        status="failed",
        error=f"{sample.file} was made and paid for, but is now missing or damaged",
        error_kind="file_missing",
        file=None,
        warnings=(),
    )
