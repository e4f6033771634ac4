"""Is every recorded picture in its place, whole and unchanged, and what else lies there?

A file whose hash is the recorded one is sound: it was looked at when it came. Only others are read as pictures.
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
from imagen_batch.errors import SettingsInvalid, Transient
from imagen_batch.images.validate import EXTENSION_OF, validate
from imagen_batch.storage import Storage
from imagen_batch.storage.regular_files import irregularity

_THREADS = 4  # reading and hashing both let other threads go on
_BATCH = 1000
_DESKTOP = {".DS_Store", "Thumbs.db", "desktop.ini"}  # a file browser leaves them wherever it looks


@dataclass(frozen=True, slots=True)
class ImageCheck:
    """What lies where a picture of the input should lie. `kind` is None for the picture itself."""

    expected: ExpectedSample
    path: str
    recorded: bytes  # SHA-256
    there: bytes | None  # the same of what lies there; None where nothing does
    kind: Kind | None
    detail: str = ""


@dataclass(slots=True)
class Pictures:
    """What was seen of the recorded pictures of the input. Grows with paths, not with pictures."""

    checked: int = 0
    bad: list[ImageCheck] = field(default_factory=list)
    owners: dict[str, SampleId] = field(default_factory=dict)  # path -> row and sample whose it is

    def take(self, look: ImageCheck) -> None:
        """Take one look into account. Of two samples that share a sound file the first one owns it."""
        self.checked += 1
        if look.kind is not None or look.path in self.owners:
            self.bad.append(look)
        else:
            self.owners[look.path] = look.expected.place


def check_images(asked: Iterable[ExpectedSample], storage: Storage, *, known: Collection[bytes]) -> Pictures:
    """Hash every picture of the input. Raises SettingsInvalid for a file that can't be read.

    `known` are the hashes of all images that were ever recorded: a changed file that is none of them was edited.
    """
    seen = Pictures()
    made = (one for one in asked if one.picture is not None)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="audit") as threads:
        while batch := list(islice(made, _BATCH)):
            for look in threads.map(lambda one: _look(one, storage, known), batch):
                seen.take(look)
    return seen


def image_findings(seen: Pictures, strays: Mapping[bytes, str]) -> Iterator[Finding]:
    """The findings about recorded pictures. `strays`: SHA-256 -> path of files that nobody recorded."""
    elsewhere = {look.there: look.path for look in seen.bad if look.there and look.kind in {"altered", "irregular"}}
    elsewhere |= strays
    for look in seen.bad:
        kind, detail, found_at = look.kind, look.detail, elsewhere.get(look.recorded)
        if look.path in seen.owners:
            owner = "row {}, sample {}".format(*seen.owners[look.path])
            kind, detail, found_at = "duplicated", f"has no file of its own: this is also that of {owner}", None
        elif kind == "missing" and found_at and _stem(found_at) == _stem(look.path):
            kind, detail = "mislabelled", f"has another extension: {found_at}"
        elif kind == "edited":
            detail, found_at = detail + (f"; the original lies at {found_at}" if found_at else ""), None
        elif found_at:
            detail += f"; its picture lies at {found_at}"
        assert kind is not None
        row, sample = look.expected.place
        yield Finding(kind, detail, look.path, row, sample, look.expected.key, found_at=found_at)


def picture_files(storage: Storage) -> Iterator[str]:
    """Every regular file below `images`."""
    return (name for name, _ in storage.sizes("images") if PurePosixPath(name).name not in _DESKTOP)


def digest_of(storage: Storage, name: str) -> bytes | None:
    """The SHA-256 of a file; None where there is none. Raises SettingsInvalid where it can't be read."""
    try:
        return hashlib.sha256(storage.read(name)).digest()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:  # to call it lost would mean to pay for it again
        raise SettingsInvalid(f"{storage.place}/{name} can't be read: {error.strerror or error}") from error


def digest_behind(storage: Storage, name: str) -> bytes | None:
    """The SHA-256 of the file that a link leads to; None where it leads to none.

    Only for finding an image that somebody moved and linked: what lies outside the folder is never changed.
    """
    path = storage.local(name)
    try:
        return hashlib.sha256(path.read_bytes()).digest() if S_ISREG(path.stat().st_mode) else None
    except OSError:
        return None


def integrity_error(storage: Storage, name: str) -> str | None:
    """Why a file is not a whole picture; None for one that is."""
    try:
        validate(storage.read(name))
    except Transient as error:
        return str(error)
    return None


def _look(one: ExpectedSample, storage: Storage, known: Collection[bytes]) -> ImageCheck:
    assert one.picture is not None
    assert one.picture.file is not None
    assert one.picture.sha256 is not None
    path, recorded = one.picture.file, bytes.fromhex(one.picture.sha256)
    if (odd := irregularity(storage, path)) is not None:
        return ImageCheck(one, path, recorded, digest_behind(storage, path), "irregular", f"is {odd}, not an image")
    there = digest_of(storage, path)
    kind: Kind | None = None
    detail = ""
    if there is None:
        kind, detail = "missing", "recorded, but not there"
    elif there != recorded:
        kind, detail = _changed(storage, path, known=there in known)
    elif PurePosixPath(path).suffix != EXTENSION_OF.get(one.picture.mime_type or ""):
        kind, detail = "mislabelled", f"recorded as {one.picture.mime_type}, which its extension denies"
    return ImageCheck(one, path, recorded, there, kind, detail)


def _changed(storage: Storage, path: str, *, known: bool) -> tuple[Kind, str]:
    if (torn := integrity_error(storage, path)) is not None:
        return "truncated", torn
    if known:
        return "altered", "a whole picture, but not the one that came"
    return "edited", "changed after it came; it is a whole picture and stays"


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))
