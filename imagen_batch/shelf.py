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
        self._link = link
        self._incoming = folder / STATE / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._made: set[Path] = set()
        self._naming = threading.Lock()

    def put(self, data: bytes, *, key: str, number: int, name: str) -> tuple[str, OSError | None]:
        """Keep a picture under `name`, or under a name with its key where that can't be had.

        Returns the path below the folder, and the trouble there was in writing it. The bytes are on disk when this
        returns; entries of folders are flushed with the ledger. Raises OSError only when nothing helps.
        """
        incoming, trouble = self.incoming(key, number), None
        try:
            _write(incoming, data)
        except OSError as error:
            trouble = error
            self.room.give_up_ballast()
            _write(incoming, data)
        self.room.took(len(data))
        file = self.publish(incoming, key=key, name=name)
        if file.startswith(STATE) and trouble is None:
            trouble = OSError(f"there is no writing to {Path(name).parent}")
        return file, trouble

    def incoming(self, key: str, number: int) -> Path:
        """Where a picture lies until the ledger has its record."""
        return self._incoming / f"{key}_{number}"

    def publish(self, incoming: Path, *, key: str, name: str, again: bool = False) -> str:
        """Give a whole picture its name, never that of another one. Returns the name it got.

        `again`: it may have got it already, before a kill; then the same bytes under it are this picture.

        A name that can't be (too long, a folder that is a file) gives way to one of its key, and where pictures
        can't be written at all they stay below `.imagen-batch/rescued`. Raises OSError when even that fails.
        """
        for candidate in _candidates(name, key, incoming.name):
            target = self.folder / candidate
            with suppress(OSError):
                self._make(target.parent)
                if self._linked(incoming, target) or (again and _same_bytes(incoming, target)):
                    return candidate
        rescued = f"{STATE}/rescued/{incoming.name}{Path(name).suffix}"
        self._make((self.folder / rescued).parent)
        if not self._linked(incoming, self.folder / rescued):
            raise FileExistsError(f"{rescued} is another picture")
        return rescued

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
            return False
        except OSError:  # a file system without hard links
            return self._copied(incoming, target)
        return True

    def _copied(self, incoming: Path, target: Path) -> bool:
        with self._naming:
            if os.path.lexists(target):
                return False
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


def _candidates(name: str, key: str, own: str) -> Iterator[str]:
    yield name
    yield with_key(name, key)
    yield f"images/{own}{Path(name).suffix}"


def _write(incoming: Path, data: bytes) -> None:
    with incoming.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _same_bytes(one: Path, other: Path) -> bool:
    return other.is_file() and one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
