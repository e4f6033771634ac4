"""Checks whether every recorded image is in its place, whole and unchanged.

A file with the recorded hash is sound, because it was validated when it arrived. Only other files are validated
again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from stat import S_ISREG

from imagen_batch.audit.expected import ExpectedSample, SampleId
from imagen_batch.audit.findings import Finding, Kind
from imagen_batch.errors import InvalidImage, SettingsInvalid
from imagen_batch.images.validate import EXTENSION_OF, validate
from imagen_batch.storage import Storage
from imagen_batch.storage.irregular_files import irregularity

_THREADS = 4  # reading and hashing both release the GIL
_BATCH = 1000
_DESKTOP_FILES = {".DS_Store", "Thumbs.db", "desktop.ini"}  # file browsers create these in every folder they open


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """The state of the file of one recorded image. `kind` is None for the recorded image itself."""

    expected: ExpectedSample
    path: str
    recorded: bytes  # SHA-256
    actual: bytes | None  # SHA-256 of the file; None if there is none
    kind: Kind | None
    detail: str = ""


@dataclass(slots=True)
class ImageChecks:
    """The checks of all recorded images of the input. Memory grows with paths, not with images."""

    checked: int = 0
    damaged: list[ImageCheck] = field(default_factory=list)
    owners: dict[str, SampleId] = field(default_factory=dict)  # path -> the sample whose file it is

    def add(self, check: ImageCheck) -> None:
        """Add one check. If two samples share a sound file, it belongs to the first one."""
        self.checked += 1
        if check.kind is not None or check.path in self.owners:
            self.damaged.append(check)
        else:
            self.owners[check.path] = check.expected.sample_id


def check_images(expected: Iterable[ExpectedSample], storage: Storage, *, known: Collection[bytes]) -> ImageChecks:
    """Hash every image of the input. Raises SettingsInvalid for a file that can't be read.

    `known` are the hashes of all images that were ever recorded: a changed file with another hash was edited.
    """
    checks = ImageChecks()
    recorded_samples = (sample for sample in expected if sample.result is not None)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="audit") as threads:
        while batch := list(islice(recorded_samples, _BATCH)):
            for check in threads.map(lambda sample: _check(sample, storage, known), batch):
                checks.add(check)
    return checks


def image_findings(checks: ImageChecks, untracked: Mapping[bytes, str]) -> Iterator[Finding]:
    """Yield the findings about recorded images. `untracked`: SHA-256 -> path of files that are not recorded."""
    paths = {
        check.actual: check.path
        for check in checks.damaged
        if check.actual and check.kind in {"altered", "irregular"}
    }
    paths |= untracked
    for check in checks.damaged:
        kind, detail, found_at = check.kind, check.detail, paths.get(check.recorded)
        if check.path in checks.owners:
            owner = "row {}, sample {}".format(*checks.owners[check.path])
            kind, detail, found_at = "duplicated", f"has no file of its own; this one belongs to {owner}", None
        elif kind == "missing" and found_at and _stem(found_at) == _stem(check.path):
            kind, detail = "mislabelled", f"has another extension: {found_at}"
        elif kind == "edited":
            detail, found_at = detail + (f"; the original is at {found_at}" if found_at else ""), None
        elif found_at:
            detail += f"; its image is at {found_at}"
        assert kind is not None
        row, sample = check.expected.sample_id
        yield Finding(kind, detail, check.path, row, sample, check.expected.key, found_at=found_at)


def image_names(storage: Storage) -> Iterator[str]:
    """Yield the name of every regular file below `images`."""
    return (name for name, _ in storage.sizes("images") if PurePosixPath(name).name not in _DESKTOP_FILES)


def hash_file(storage: Storage, name: str) -> bytes | None:
    """Return the SHA-256 of a file; None if there is none. Raises SettingsInvalid if it can't be read."""
    try:
        return hashlib.sha256(storage.read(name)).digest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:  # reporting it as lost would cause it to be paid for again
        raise SettingsInvalid(f"{storage.location}/{name} can't be read: {error.strerror or error}") from error


def _hash_target(storage: Storage, name: str) -> bytes | None:
    """Return the SHA-256 of the file that a link leads to; None if it leads to none.

    This only locates an image that was moved and linked: files outside the folder are never changed.
    """
    path = storage.local(name)
    try:
        return hashlib.sha256(path.read_bytes()).digest() if S_ISREG(path.stat().st_mode) else None
    except OSError:
        return None


def integrity_error(storage: Storage, name: str) -> str | None:
    """Return why a file is not a whole image; None if it is one."""
    try:
        validate(storage.read(name))
    except InvalidImage as error:
        return str(error)
    return None


def _check(sample: ExpectedSample, storage: Storage, known: Collection[bytes]) -> ImageCheck:
    assert sample.result is not None
    assert sample.result.file is not None
    assert sample.result.sha256 is not None
    path, recorded = sample.result.file, bytes.fromhex(sample.result.sha256)
    if (irregular := irregularity(storage, path)) is not None:
        return ImageCheck(
            sample, path, recorded, _hash_target(storage, path), "irregular", f"is {irregular}, not an image"
        )
    actual = hash_file(storage, path)
    kind: Kind | None = None
    detail = ""
    if actual is None:
        kind, detail = "missing", "recorded, but the file is missing"
    elif actual != recorded:
        kind, detail = _classify_change(storage, path, known=actual in known)
    elif PurePosixPath(path).suffix != EXTENSION_OF.get(sample.result.mime_type or ""):
        kind, detail = "mislabelled", f"its extension does not fit its recorded type {sample.result.mime_type}"
    return ImageCheck(sample, path, recorded, actual, kind, detail)


def _classify_change(storage: Storage, path: str, *, known: bool) -> tuple[Kind, str]:
    if (error := integrity_error(storage, path)) is not None:
        return "truncated", error
    if known:
        return "altered", "a whole image, but not the recorded one"
    return "edited", "changed after it arrived; it is a whole image and is kept"


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))
