"""How does a run live in a folder of this machine?"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from imagen_batch.storage.base import STATE
from imagen_batch.storage.file_lock import flocked, is_flocked

_LOCK = f"{STATE}/lock"


class Folder:
    """A folder. `link` is how a file system gives a second name."""

    links = True

    def __init__(self, path: Path, *, link: Callable[[Path, Path], None] = os.link) -> None:
        self.path = path
        self._link = link
        self._made: set[Path] = set()

    @property
    def place(self) -> str:
        """Its path."""
        return str(self.path)

    def read(self, name: str) -> bytes:
        """A whole file."""
        return (self.path / name).read_bytes()

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        try:
            return os.stat(f"{self.path!s}/{name}").st_size  # noqa: PTH116 - a Path takes three times as long
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sizes_of(self, names: Sequence[str]) -> list[int | None]:
        """Ask for each."""
        return [self.size(name) for name in names]

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        """Name and bytes of every regular file below a name, sorted within each folder. Links are not followed."""
        root = str(self.path / below)
        for parent, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                with suppress(FileNotFoundError):  # removed in between
                    facts = os.lstat(f"{parent}/{name}")
                    if stat.S_ISREG(facts.st_mode):
                        yield f"{below}{parent[len(root) :]}/{name}".lstrip("/"), facts.st_size

    def put(self, name: str, data: bytes) -> None:
        """Write `data` and flush it to disk."""
        self._make((self.path / name).parent)
        with (self.path / name).open("wb", buffering=0) as file:
            _write_all(file.fileno(), data)
            os.fsync(file.fileno())
            _forget(file.fileno())

    def create(self, name: str, data: bytes) -> bool:
        """Write `data` beside, then give it its name unless something has that."""
        beside = f"{name}.{uuid.uuid4().hex}.part"
        self.put(beside, data)
        try:
            return self.link(beside, name)
        finally:
            self.remove(beside)

    def link(self, source: str, name: str) -> bool:
        """Give a file a second name; a copy where the file system knows no hard links."""
        self._make((self.path / name).parent)
        try:
            self._link(self.path / source, self.path / name)
        except FileExistsError:
            return False
        except OSError:
            return self._copied(self.path / source, self.path / name)
        return True

    def move(self, source: str, name: str) -> None:
        """Rename."""
        self._make((self.path / name).parent)
        (self.path / source).replace(self.path / name)

    def remove(self, name: str) -> None:
        """Unlink."""
        (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Write beside, flush, rename.

        What a killed process leaves behind is a hidden file of a fixed name, which the next attempt overwrites:
        let only one writer at a time be at work on a name.
        """
        path = self.path / name
        self._make(path.parent)
        part = path.with_name(f".{path.name}.part")
        try:
            with part.open("wb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def sync(self, names: Iterable[str]) -> None:
        """Flush the folders that hold these names."""
        for folder in {(self.path / name).parent for name in names}:
            _sync(folder)

    def local(self, name: str) -> Path:
        """The file itself."""
        return self.path / name

    def log(self, name: str) -> FileLog:
        """A file that is appended to."""
        path = self.path / name
        self._make(path.parent)
        log = FileLog(path)
        _sync(path.parent)
        return log

    def logs(self, below: str) -> Path:
        """The folder itself."""
        return self.path / below

    def locked(self) -> AbstractContextManager[None]:
        """The operating system's lock on a file: it dies with its process."""
        return flocked(self.path / _LOCK)

    def is_locked(self) -> bool:
        """Whether a process holds it."""
        return is_flocked(self.path / _LOCK)

    def free(self) -> int | None:
        """What the file system says; of the nearest folder above where this one is not there yet."""
        there = next(one for one in (self.path.absolute(), *self.path.absolute().parents) if one.exists())
        return shutil.disk_usage(there).free

    def reserve(self, name: str, size: int) -> None:
        """A file without content of its own."""
        self._make((self.path / name).parent)
        with (self.path / name).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, size))

    def _copied(self, source: Path, target: Path) -> bool:
        beside = target.with_name(f".{target.name}.part")
        try:
            file = beside.open("xb")  # also keeps others from the name meanwhile, in this process or another
        except FileExistsError:
            return False
        try:
            with file, source.open("rb") as picture:
                if os.path.lexists(target):
                    return False
                shutil.copyfileobj(picture, file)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(target)
        finally:
            beside.unlink(missing_ok=True)
        return True

    def _make(self, folder: Path) -> None:
        if folder in self._made:
            return
        if not folder.is_dir():
            if folder != self.path:
                self._make(folder.parent)
            folder.mkdir(exist_ok=True, parents=True)
            _sync(folder.parent)
        self._made.add(folder)


class FileLog:
    """A log in a file, flushed with every append."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = 0

    def append(self, data: bytes) -> None:
        """Write and flush; what a full disk takes only half of is taken back."""
        assert self._descriptor is not None, "a record after the end of the log"
        try:
            _write_all(self._descriptor, data)
            os.fsync(self._descriptor)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def close(self) -> None:
        """Close the file. Closing twice does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _forget(descriptor: int) -> None:
    """Nobody reads it soon: memory that the system keeps a copy in is memory that the next picture waits for."""
    if hasattr(os, "posix_fadvise"):  # not on every Unix
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
