"""Writes an export so that it appears whole or not at all.

A folder is built beside its place and renamed at the end. A bucket knows no renaming: a mark says that an export is
being written, and the next export removes what a killed one left.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.storage import Storage, is_url, open_storage

MARK = ".imagen-batch-export.json"
"""Says that a folder is an export, so that a later one may replace it."""

_UNFINISHED = ".imagen-batch-export.part"
_AT_ONCE = 16  # objects on their way to a bucket


class Target(Protocol):
    """Where an export's files go. Names are paths with "/"."""

    @property
    def place(self) -> str:
        """The folder or URL of the finished export."""

    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A handle for a new file."""

    def put(self, name: str, data: bytes) -> None:
        """A new file with this content."""

    def add(self, name: str, source: Storage, file: str, *, copy: bool) -> None:
        """A file of a run: a second name for it where that is possible and `copy` is False, else a copy."""

    def rename(self, old: str, new: str) -> None:
        """Give a file its final name."""


@contextmanager
def open_target(out: str | Path, facts: dict[str, object]) -> Iterator[Target]:
    """The output; after an exception nothing of it is left. `facts` stand in the mark.

    Raises SettingsInvalid where something else lies there, and FolderBusy while another export writes there.
    """
    opened = _bucket(str(out)) if isinstance(out, str) and is_url(out) else _folder(Path(out))
    with opened as target:
        yield target
        target.put(MARK, (json.dumps({"schema_version": 1, **facts}, indent=1) + "\n").encode())


class FolderTarget:
    """A hidden folder beside the place where the export will stand."""

    def __init__(self, place: Path, part: Path) -> None:
        self.place = str(place)
        self._part = part
        self._made: set[Path] = set()

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """A file that must not exist yet."""
        with self._path(name).open("xb") as file:
            yield file

    def put(self, name: str, data: bytes) -> None:
        """A file that must not exist yet."""
        with self.write(name) as file:
            file.write(data)

    def add(self, name: str, source: Storage, file: str, *, copy: bool) -> None:
        """Link or copy."""
        path, original = self._path(name), source.local(file) if source.links else None
        if original is None:
            path.write_bytes(source.read(file))
        elif copy or not _link(original, path):
            shutil.copyfile(original, path)

    def rename(self, old: str, new: str) -> None:
        """Within the hidden folder."""
        (self._part / old).rename(self._part / new)

    def _path(self, name: str) -> Path:
        path = self._part / name
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        return path


class BucketTarget:
    """Objects under their final names, several on their way at a time."""

    def __init__(self, storage: Storage, threads: ThreadPoolExecutor) -> None:
        self.place = storage.location
        self._storage = storage
        self._threads = threads
        self._sent: deque[Future[None]] = deque()

    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Written on this machine, then sent."""
        return self._storage.write(name)

    def put(self, name: str, data: bytes) -> None:
        """Sent by a thread."""
        self._sent.append(self._threads.submit(self._storage.put, name, data))
        if len(self._sent) > _AT_ONCE:
            self._sent.popleft().result()

    def add(self, name: str, source: Storage, file: str, *, copy: bool) -> None:  # noqa: ARG002 - no links here
        """Sent like any other bytes."""
        self.put(name, source.read(file))

    def rename(self, old: str, new: str) -> None:
        """A copy within the store."""
        self.wait()
        self._storage.move(old, new)

    def wait(self) -> None:
        """Until everything is there; raises what went wrong."""
        while self._sent:
            self._sent.popleft().result()


@contextmanager
def _folder(place: Path) -> Iterator[FolderTarget]:
    place = place.absolute()
    _check_free(place)
    part, old = place.with_name(f".{place.name}.part"), place.with_name(f".{place.name}.old")
    part.mkdir(parents=True, exist_ok=True)
    with _held(part):
        _empty(part)
        try:
            yield FolderTarget(place, part)
            os.sync()  # one flush for all files instead of one for each
            shutil.rmtree(old, ignore_errors=True)
            if place.exists():
                place.rename(old)
            part.rename(place)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            if old.exists() and not place.exists():
                old.rename(place)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise FolderBusy(f"another export is writing to {folder.parent}; wait until it has ended") from error
    finally:
        os.close(descriptor)


def _check_free(place: Path) -> None:
    if place.is_dir() and ((place / MARK).exists() or not any(place.iterdir())):
        return
    if os.path.lexists(place):
        raise SettingsInvalid(f"{place} exists and is not an export: name another folder with --out, or remove it")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _link(original: Path, path: Path) -> bool:
    """A second name for a file; False where the file system has none to give, or the file is a link itself."""
    if original.is_symlink():
        return False
    try:
        os.link(original, path)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


@contextmanager
def _bucket(url: str) -> Iterator[BucketTarget]:
    storage = open_storage(url)
    there = [name for name, _ in storage.sizes("")]
    if there and not {MARK, _UNFINISHED} & set(there):
        raise SettingsInvalid(f"{url} holds objects and is not an export: name another place with --out")
    storage.put(_UNFINISHED, b"")
    _remove(storage)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="export") as threads:
        target = BucketTarget(storage, threads)
        try:
            yield target
            target.wait()
        except BaseException:
            threads.shutdown(cancel_futures=True)
            _remove(storage)
            storage.remove(_UNFINISHED)
            raise
        storage.remove(_UNFINISHED)


def _remove(storage: Storage) -> None:
    """Everything but the mark of an unfinished export, which makes a killed removal safe to repeat."""
    for name in [name for name, _ in storage.sizes("") if name != _UNFINISHED]:
        storage.remove(name)
