"""Where do pictures go, so that none is lost, overwritten or half there?

A picture is first kept whole as `.imagen-batch/incoming/<key>_<sample>`, then gets its name; the incoming one
goes when the ledger has its record. So after a kill at any moment what was paid for is either recorded or found in
`incoming`. Where a second name is a second upload and the name itself tells the key, it gets that at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath
from threading import Lock
from typing import NamedTuple, Protocol

from imagen_batch.images.disk_space import DiskSpace
from imagen_batch.images.file_names import TakenNames, with_key
from imagen_batch.images.validate import EXTENSIONS
from imagen_batch.storage import STATE, Storage

STAGING = f"{STATE}/incoming"
RESCUED = f"{STATE}/rescued"
IMAGES = "images"


class StagedImage(NamedTuple):
    """A picture, whole or not, that a killed run left without a record."""

    key: str
    number: int
    file: str
    named: bool  # it lies where it belongs


class Attempted(Protocol):
    """What is known of an attempt that nothing answered."""

    @property
    def key(self) -> str: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def numbers(self) -> range: ...


class ImageStore:
    """The pictures of one run."""

    def __init__(self, storage: Storage, room: DiskSpace) -> None:
        self.storage = storage
        self.room = room
        self._incoming: set[str] = set()
        self._names: TakenNames | None = None  # of the folder, read when the first name of the user's is given
        self._naming = Lock()

    def put(self, data: bytes, *, key: str, number: int, name: str) -> tuple[str, OSError | None]:
        """Keep a picture under `name`, or under a name with its key where that can't be had.

        Returns the name it got, and the trouble there was in writing it. The bytes are stored when this returns;
        entries of folders are flushed with the ledger. Raises OSError only when nothing helps.
        """
        if not self.storage.links and _tells(name, key) and self.storage.create(name, data):
            self.room.took(len(data), key=key)
            return name, None
        incoming, trouble = self.incoming(key, number), None
        try:
            self.storage.put(incoming, data)
        except OSError as error:
            trouble = error
            self.room.release_ballast()
            self.storage.put(incoming, data)
        self._incoming.add(incoming)
        self.room.took(len(data), key=key)
        file = self.publish(incoming, key=key, name=name)
        if file.startswith(STATE) and trouble is None:
            trouble = OSError(f"there is no writing to {PurePosixPath(name).parent}")
        return file, trouble

    def incoming(self, key: str, number: int) -> str:
        """Where a picture lies until the ledger has its record."""
        return f"{STAGING}/{key}_{number}"

    def publish(self, incoming: str, *, key: str, name: str, again: bool = False) -> str:
        """Give a whole picture its name, never that of another one. Returns the name it got.

        `again`: it may have got it already, before a kill; then the same bytes under it are this picture.

        A name that can't be (too long, a folder that is a file) gives way to one of its key, and where pictures
        can't be written at all they stay below `.imagen-batch/rescued`. Raises OSError when even that fails.
        """
        own = PurePosixPath(incoming).name
        for candidate in _candidates(name, key, own):
            if candidate == name and not self._may_have(name, key):
                continue
            with suppress(OSError):
                if self.storage.link(incoming, candidate) or (again and self._same_bytes(incoming, candidate)):
                    return candidate
        rescued = f"{RESCUED}/{own}{PurePosixPath(name).suffix}"
        if not self.storage.link(incoming, rescued):
            raise FileExistsError(f"{rescued} is another picture")
        return rescued

    def _may_have(self, name: str, key: str) -> bool:
        """Whether no other file has this name in another spelling: some disk would take the two for one."""
        if _tells(name, key):
            return True
        with self._naming:
            if self._names is None:
                self._names = _names_in(self.storage)
            taken = name in self._names
            self._names.add(name)
        # Of the very same name linking tells; it may be this picture's own, from before a kill.
        return not taken or self.storage.size(name) is not None

    def clear(self, key: str, numbers: Iterable[int]) -> None:
        """The ledger has them: the incoming ones are not needed any more."""
        for incoming in self._incoming.intersection(self.incoming(key, number) for number in numbers):
            self.storage.remove(incoming)
            self._incoming.discard(incoming)

    def left(self, attempts: Iterable[Attempted]) -> Iterator[StagedImage]:
        """What a killed process left of its open attempts: in `incoming`, or under the names they were to get."""
        for attempt in attempts:
            for number, stem in zip(attempt.numbers, attempt.names, strict=True):
                incoming = self.incoming(attempt.key, number)
                if self.storage.size(incoming) is not None:
                    self._incoming.add(incoming)
                    yield StagedImage(attempt.key, number, incoming, named=False)
                if not self.storage.links and _tells(stem, attempt.key):
                    yield from self._named(attempt.key, number, stem)

    def _named(self, key: str, number: int, stem: str) -> Iterator[StagedImage]:
        for extension in EXTENSIONS:
            if self.storage.size(stem + extension) is not None:
                yield StagedImage(key, number, stem + extension, named=True)

    def _same_bytes(self, one: str, other: str) -> bool:
        size = self.storage.size(other)
        return (
            size is not None and size == self.storage.size(one) and self.storage.read(one) == self.storage.read(other)
        )


def _names_in(storage: Storage) -> TakenNames:
    names = TakenNames()
    with suppress(OSError):
        for name, _ in storage.sizes(IMAGES):
            names.add(name)
    return names


def _tells(name: str, key: str) -> bool:
    """Whether a name says whose picture it is: then nothing else has it."""
    return name.partition(".")[0].endswith(f"_{key[:8]}")


def _candidates(name: str, key: str, own: str) -> Iterator[str]:
    yield name
    yield with_key(name, key)
    yield f"images/{own}{PurePosixPath(name).suffix}"
