"""Compares recorded images with their files as they are now: unchanged, edited, or gone."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace

from imagen_batch.errors import Transient
from imagen_batch.images.validate import validate
from imagen_batch.records import SampleResult
from imagen_batch.storage import Storage
from imagen_batch.storage.regular_files import irregularity

LOOKED_FOR_TOGETHER = 1000  # entries: as many as a store lists at once


def missing_files(samples: Sequence[SampleResult], storage: Storage) -> list[bool]:
    """For each sample whether it had a picture that is no longer whole in its place."""
    checked = current_state(samples, storage)
    return [before.file is not None and after.file is None for before, after in zip(samples, checked, strict=True)]


def current_state(samples: Sequence[SampleResult], storage: Storage) -> list[SampleResult]:
    """The samples as their files are now: the same, edited since, or failed where the file is gone or torn.

    A file of the recorded size is taken for the recorded one; only others are read.
    """
    sizes = iter(_sizes([sample.file for sample in samples if sample.file is not None], storage))
    return [sample if sample.file is None else _as_it_is(sample, next(sizes), storage) for sample in samples]


def _as_it_is(sample: SampleResult, size: int | None, storage: Storage) -> SampleResult:
    if size == sample.bytes:
        return sample
    return _file_missing(sample) if size is None else _edited(sample, storage) or _file_missing(sample)


def _edited(sample: SampleResult, storage: Storage) -> SampleResult | None:
    """The sample with the facts of its changed file; None where that is no whole image."""
    assert sample.file is not None
    if irregularity(storage, sample.file):
        return None
    try:
        facts = validate(storage.read(sample.file))
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


def _sizes(files: Sequence[str], storage: Storage) -> Sequence[int | None]:
    """Bytes of each file; None for a link to itself, which must not hide what became of the others."""
    try:
        return storage.sizes_of(files)
    except OSError as error:
        if error.errno not in _OF_ONE_FILE:
            raise
        return [_size(file, storage) for file in files]


def _size(file: str, storage: Storage) -> int | None:
    try:
        return storage.size(file)
    except OSError as error:
        if error.errno not in _OF_ONE_FILE:
            raise
        return None


def _file_missing(sample: SampleResult) -> SampleResult:
    return replace(
        sample,
        status="failed",
        error=f"{sample.file} was made and paid for, but is no longer whole in the folder",
        error_kind="file_missing",
        file=None,
    )


# Such a name is no picture. What only can not be read now (rights, a bad block) must not count as one to buy again.
_OF_ONE_FILE = {errno.ELOOP, errno.ENAMETOOLONG}
