"""Writes an export so that it is complete or absent.

A folder is written under a hidden name and renamed at the end. A bucket has no renaming: a mark records that an
export is being written, and the next export removes the remains of a killed one.
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
"""Marks a folder as an export, which a later one may replace."""

_UNFINISHED = ".imagen-batch-export.part"
_AT_ONCE = 16  # uploads to a bucket


class Target(Protocol):
    """The destination of an export's files. Names are paths with "/"."""

    @property
    def location(self) -> str:
        """The folder or URL of the finished export."""

    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Return a handle for a new file."""

    def put(self, name: str, data: bytes) -> None:
        """Write a new file with this content."""

    def add(self, name: str, source: Storage, file: str, *, copy: bool) -> None:
        """Add a file of a run, as a hard link if that is possible and `copy` is False, else as a copy."""

    def rename(self, old: str, new: str) -> None:
        """Give a file its final name."""


@contextmanager
def open_target(out: str | Path, facts: dict[str, object]) -> Iterator[Target]:
    """Yield the output; after an exception nothing of it remains. The mark contains `facts`.

    Raises SettingsInvalid if the location has other content, and FolderBusy while another export writes there.
    """
    opened = _bucket(str(out)) if isinstance(out, str) and is_url(out) else _folder(Path(out))
    with opened as target:
        yield target
        target.put(MARK, (json.dumps({"schema_version": 1, **facts}, indent=1) + "\n").encode())


class FolderTarget:
    """A hidden folder beside the final location of the export."""

    def __init__(self, location: Path, part: Path) -> None:
        self.location = str(location)
        self._part = part
        self._folders: set[Path] = set()

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Yield a file that must not exist yet."""
        with self._path(name).open("xb") as file:
            yield file

    def put(self, name: str, data: bytes) -> None:
        """Write a file that must not exist yet."""
        with self.write(name) as file:
            file.write(data)

    def add(self, name: str, source: Storage, file: str, *, copy: bool) -> None:
        """Link or copy the file."""
        path, original = self._path(name), source.local(file) if source.links else None
        if original is None:
            path.write_bytes(source.read(file))
        elif copy or not _link(original, path):
            shutil.copyfile(original, path)

    def rename(self, old: str, new: str) -> None:
        """Rename a file within the hidden folder."""
        (self._part / old).rename(self._part / new)

    def _path(self, name: str) -> Path:
        path = self._part / name
        if path.parent not in self._folders:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(path.parent)
        return path


class BucketTarget:
    """Objects under their final names, of which several are uploaded at a time."""

    def __init__(self, storage: Storage, threads: ThreadPoolExecutor) -> None:
        self.location = storage.location
        self._storage = storage
        self._threads = threads
        self._sent: deque[Future[None]] = deque()

    def write(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Return a handle for a file that is written on this machine and then uploaded."""
        return self._storage.write(name)

    def put(self, name: str, data: bytes) -> None:
        """Upload the content in a thread."""
        self._sent.append(self._threads.submit(self._storage.put, name, data))
        if len(self._sent) > _AT_ONCE:
            self._sent.popleft().result()

    def add(self, name: str, source: Storage, file: str, *, copy: bool) -> None:  # noqa: ARG002 - no links here
        """Upload the bytes of the file."""
        self.put(name, source.read(file))

    def rename(self, old: str, new: str) -> None:
        """Move the object within the store."""
        self.wait()
        self._storage.move(old, new)

    def wait(self) -> None:
        """Wait until everything is uploaded; raise the first error."""
        while self._sent:
            self._sent.popleft().result()


@contextmanager
def _folder(location: Path) -> Iterator[FolderTarget]:
    location = location.absolute()
    _check_free(location)
    part, old = location.with_name(f".{location.name}.part"), location.with_name(f".{location.name}.old")
    part.mkdir(parents=True, exist_ok=True)
    with _hold_lock(part):
        _empty(part)
        try:
            yield FolderTarget(location, part)
            os.sync()  # one flush for all files instead of one for each
            shutil.rmtree(old, ignore_errors=True)
            if location.exists():
                location.rename(old)
            part.rename(location)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            if old.exists() and not location.exists():
                old.rename(location)
            raise
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _hold_lock(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise FolderBusy(f"another export is writing to {folder.parent}; wait until it has ended") from error
    finally:
        os.close(descriptor)


def _check_free(location: Path) -> None:
    if location.is_dir() and ((location / MARK).exists() or not any(location.iterdir())):
        return
    if os.path.lexists(location):
        raise SettingsInvalid(f"{location} exists and is not an export: name another folder with --out, or remove it")


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _link(original: Path, path: Path) -> bool:
    """Make a hard link; return False if the file system has none, or if the file is a symbolic link."""
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
    existing = [name for name, _ in storage.sizes("")]
    if existing and not {MARK, _UNFINISHED} & set(existing):
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
    """Remove everything but the mark of an unfinished export, so that a killed removal can be repeated."""
    for name in [name for name, _ in storage.sizes("") if name != _UNFINISHED]:
        storage.remove(name)
