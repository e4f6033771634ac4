"""Saves images so that none is lost, overwritten or left incomplete.

An image is first saved whole as `.imagen-batch/incoming/<key>_<sample>`, then gets its final name; the staged file is
removed once the ledger has its record. So after a kill at any moment, an image that was paid for is either recorded
or found in `incoming`. Where a second name would cost a second upload and the name itself identifies the request, the
image gets its final name at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from threading import Lock
from typing import NamedTuple, Protocol

from imagen_batch.images.reserve_disk_space import DiskSpace
from imagen_batch.images.taken_names import TakenNames, carries_key, with_key
from imagen_batch.images.validate import EXTENSIONS
from imagen_batch.storage import STATE, Storage

STAGING = f"{STATE}/incoming"
RESCUED = f"{STATE}/rescued"
IMAGES = "images"


class StagedImage(NamedTuple):
    """An image, complete or not, that a killed run left without a record."""

    key: str
    number: int
    file: str
    named: bool  # already under its final name


class UnansweredAttempt(Protocol):
    """The facts that the ledger has about an attempt without a reply."""

    @property
    def key(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def numbers(self) -> range: ...


class ImageStore:
    """The images of one run."""

    def __init__(self, storage: Storage, disk_space: DiskSpace) -> None:
        self.storage = storage
        self.disk_space = disk_space
        self._staged: set[str] = set()
        self._names: TakenNames | None = None  # of the folder, read when the first name chosen by the user is used
        self._naming = Lock()

    def save(self, data: bytes, *, key: str, number: int, name: str) -> tuple[str, OSError | None]:
        """Save an image under `name`, or under a name with its key where `name` is not available.

        Returns the name it got, and the error that occurred while writing it, if any. The bytes are stored when this
        returns; folder entries are flushed with the ledger. Raises OSError only when every fallback fails.
        """
        if not self.storage.links and _has_key(name, key) and self.storage.create(name, data):
            self.disk_space.record_size(len(data), key=key)
            return name, None
        staged, failure = self.staged_name(key, number), None
        try:
            self.storage.put(staged, data)
        except OSError as error:
            failure = error
            self.disk_space.release_ballast()
            self.storage.put(staged, data)
        self._staged.add(staged)
        self.disk_space.record_size(len(data), key=key)
        file = self.publish(staged, key=key, name=name)
        if file.startswith(STATE) and failure is None:
            failure = OSError(f"can't write to {PurePosixPath(name).parent}")
        return file, failure

    def staged_name(self, key: str, number: int) -> str:
        """Return where an image is kept until the ledger has its record."""
        return f"{STAGING}/{key}_{number}"

    def publish(self, staged: str, *, key: str, name: str, may_exist: bool = False) -> str:
        """Give a staged image its final name without replacing another image. Returns the name it got.

        With `may_exist`, the image may have its name already: a file of that name with the same bytes is the image.

        If the name is impossible (too long, a folder of the path is a file), a name made from the key is used. If
        images can't be written at all, the image goes to `.imagen-batch/rescued`. Raises OSError if that fails, too.
        """
        if self._claim(name, key) and self._has_linked(staged, name, may_exist=may_exist):
            return name
        base_name = PurePosixPath(staged).name
        suffix = PurePosixPath(name).suffix
        for candidate in (with_key(name, key), f"{IMAGES}/{base_name}{suffix}"):
            if self._has_linked(staged, candidate, may_exist=may_exist):
                return candidate
        rescued = f"{RESCUED}/{base_name}{suffix}"
        if not self.storage.link(staged, rescued):
            raise FileExistsError(f"{rescued} is another image")
        return rescued

    def _has_linked(self, staged: str, name: str, *, may_exist: bool) -> bool:
        try:
            return self.storage.link(staged, name) or (may_exist and self._same_bytes(staged, name))
        except OSError:
            return False

    def _claim(self, name: str, key: str) -> bool:
        """Claim a name; False if a file has it in another spelling that some file system treats as the same."""
        if _has_key(name, key):
            return True
        with self._naming:
            if self._names is None:
                self._names = _read_names(self.storage)
            taken = name in self._names
            self._names.add(name)
        # `link` detects a file of exactly this name; it may be this image itself, published before a kill.
        return not taken or self.storage.size(name) is not None

    def clear_staging(self, key: str, numbers: Iterable[int]) -> None:
        """Remove the staged files of images that the ledger has recorded."""
        for staged in self._staged.intersection(self.staged_name(key, number) for number in numbers):
            self.storage.remove(staged)
            self._staged.discard(staged)

    def find_unrecorded(self, attempts: Iterable[UnansweredAttempt]) -> Iterator[StagedImage]:
        """Yield the images that a killed process left of its open attempts, staged or under their final names."""
        for attempt in attempts:
            for number, stem in zip(attempt.numbers, attempt.names, strict=True):
                staged = self.staged_name(attempt.key, number)
                if self.storage.size(staged) is not None:
                    self._staged.add(staged)
                    yield StagedImage(attempt.key, number, staged, named=False)
                if not self.storage.links and _has_key(stem, attempt.key):
                    yield from self._find_named(attempt.key, number, stem)

    def _find_named(self, key: str, number: int, stem: str) -> Iterator[StagedImage]:
        for extension in EXTENSIONS:
            if self.storage.size(stem + extension) is not None:
                yield StagedImage(key, number, stem + extension, named=True)

    def _same_bytes(self, first: str, second: str) -> bool:
        size = self.storage.size(second)
        return (
            size is not None
            and size == self.storage.size(first)
            and self.storage.read(first) == self.storage.read(second)
        )


def _read_names(storage: Storage) -> TakenNames:
    names = TakenNames()
    with suppress(OSError):
        for name, _ in storage.sizes(IMAGES):
            names.add(name)
    return names


def _has_key(name: str, key: str) -> bool:
    """Whether a name ends with the start of the request's key: then no other image can have it."""
    return carries_key(name.partition(".")[0], key)
