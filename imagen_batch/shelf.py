"""Where do pictures go, so that none is lost, overwritten or half there?

A picture is first written whole to `.imagen-batch/incoming/<key>_<sample>`, then linked to its name; the
incoming one goes when the ledger has its record. So after a kill at any moment what was paid for is either
recorded or found in `incoming`.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from imagen_batch.files import sync_folder
from imagen_batch.names import with_key
from imagen_batch.records import Sample
from imagen_batch.room import Room

STATE = ".imagen-batch"


class Shelf:
    """The pictures of one run folder."""

    def __init__(self, folder: Path, room: Room, *, link: Callable[[Path, Path], None] = os.link) -> None:
        self.folder = folder
        self.room = room
        self.trouble: OSError | None = None  # the last write that did not go as it should
        self._link = link
        self._incoming = folder / STATE / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._made: set[Path] = set()
        self._naming = threading.Lock()

    def put(self, data: bytes, *, key: str, number: int, name: str) -> str:
        """Keep a picture under `name`, or under a name with its key where that is taken.

        Returns the path below the folder. The bytes are on disk when this returns; entries of folders are
        flushed with the ledger. What can't be written as it should be is tried in every other way; `trouble`
        tells of it. Raises OSError only when nothing helps.
        """
        incoming = self.incoming(key, number)
        try:
            self._write(incoming, data)
        except OSError as error:
            self.trouble = error
            self.room.give_up_ballast()
            self._write(incoming, data)
        self.room.took(len(data))
        try:
            return self.publish(incoming, key=key, name=name)
        except OSError as error:  # no such name here: too long, a folder that is read-only
            self.trouble = error
            return self.publish(incoming, key=key, name=f"{STATE}/rescued/{incoming.name}{Path(name).suffix}")

    def _write(self, incoming: Path, data: bytes) -> None:
        with incoming.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def incoming(self, key: str, number: int) -> Path:
        """Where a picture lies until the ledger has its record."""
        return self._incoming / f"{key}_{number}"

    def publish(self, incoming: Path, *, key: str, name: str) -> str:
        """Give a whole picture its name, never that of another one. Returns the name it got."""
        for candidate in _candidates(name, key):
            target = self.folder / candidate
            self._make(target.parent)
            if self._linked(incoming, target):
                return candidate
        raise AssertionError("names with a full key and a number don't run out")

    def clear(self, key: str, numbers: Iterable[int]) -> None:
        """The ledger has them: the incoming ones are not needed any more."""
        for number in numbers:
            with suppress(FileNotFoundError):
                self.incoming(key, number).unlink()

    def left(self) -> Iterator[tuple[str, int, Path]]:
        """What a killed run left in `incoming`: key, sample number and path; whole or not."""
        for path in sorted(self._incoming.iterdir()):
            key, _, number = path.name.partition("_")
            if number.isdigit():
                yield key, int(number), path

    def folders_of(self, samples: Iterable[Sample]) -> set[Path]:
        """The folders that hold the pictures of `samples`."""
        return {(self.folder / sample.file).parent for sample in samples if sample.file}

    def _linked(self, incoming: Path, target: Path) -> bool:
        """Link `incoming` as `target`; False when another picture is there."""
        try:
            self._link(incoming, target)
        except FileExistsError:
            return target.exists() and target.samefile(incoming)
        except OSError:  # a file system without hard links
            return self._copied(incoming, target)
        return True

    def _copied(self, incoming: Path, target: Path) -> bool:
        with self._naming:
            if os.path.lexists(target):
                return target.is_file() and _same_bytes(incoming, target)
            beside = target.with_name(f".{target.name}.part")
            shutil.copyfile(incoming, beside)
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.rename(target)
        return True

    def _make(self, folder: Path) -> None:
        if folder in self._made:
            return
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            sync_folder(folder.parent)
        self._made.add(folder)


def _candidates(name: str, key: str) -> Iterator[str]:
    yield name
    yield with_key(name, key)
    stem, dot, extension = name.rpartition(".")
    for count in range(2, 10_000):
        yield f"{stem}_{key[:16]}_{count}{dot}{extension}"


def _same_bytes(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
