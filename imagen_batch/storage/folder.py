"""Stores a run in a folder of this machine."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from imagen_batch.storage.file_lock import hold_file_lock, is_file_locked
from imagen_batch.storage.interface import STATE

_LOCK = f"{STATE}/lock"
_MANY = 100  # files, which Arrow looks up faster


class Folder:
    """A folder. `link` creates a hard link; tests replace it."""

    links = True

    def __init__(self, path: Path, *, link: Callable[[str, str], None] = os.link) -> None:
        self.path = path
        self._root = str(path)  # for names that are used for each image: joining a Path takes ten times as long
        self._link = link
        self._existing: set[str] = set()  # names of folders that are known to exist

    @property
    def location(self) -> str:
        """The folder's path."""
        return str(self.path)

    def read(self, name: str) -> bytes:
        """Read a whole file."""
        return (self.path / name).read_bytes()

    def size(self, name: str) -> int | None:
        """Return the bytes of a file; None if there is none."""
        try:
            return os.stat(f"{self._root}/{name}").st_size  # noqa: PTH116 - a Path takes three times as long
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sizes_of(self, names: Sequence[str]) -> list[int | None]:
        """Return the size of each file. Arrow looks at many without holding up other threads."""
        if len(names) >= _MANY and (sizes := _sizes_by_arrow(self.path, names)) is not None:
            return sizes
        return [self.size(name) for name in names]

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        """Yield name and bytes of every regular file below a name, sorted within each folder; follow no links."""
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
        descriptor = os.open(self._placed(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
            _drop_from_cache(descriptor)
        finally:
            os.close(descriptor)

    def create(self, name: str, data: bytes) -> bool:
        """Write `data` to a temporary file, then link that to `name` unless the name is taken."""
        part = f"{name}.{uuid.uuid4().hex}.part"
        self.put(part, data)
        try:
            return self.link(part, name)
        finally:
            self.remove(part)

    def link(self, source: str, name: str) -> bool:
        """Create a hard link, or a copy where the file system has no hard links."""
        try:
            self._link(f"{self._root}/{source}", self._placed(name))
        except FileExistsError:
            return False
        except OSError:
            return self._copy(self.path / source, self.path / name)
        return True

    def move(self, source: str, name: str) -> None:
        """Rename a file."""
        (self.path / source).replace(self._placed(name))

    def remove(self, name: str) -> None:
        """Delete a file."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._root}/{name}")  # noqa: PTH108 - see `_root`

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Write to a temporary file, flush it, then rename it.

        A killed process leaves a hidden file of a fixed name behind, which the next attempt overwrites. So a name
        must have only one writer at a time.
        """
        path = Path(self._placed(name))
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
        """Flush the folders of these names."""
        for folder in {_parent(name) for name in names}:
            _sync(f"{self._root}/{folder}")

    def local(self, name: str) -> Path:
        """Return the file itself."""
        return self.path / name

    def log(self, name: str) -> FileLog:
        """Open a file for appending."""
        path = Path(self._placed(name))
        log = FileLog(path)
        _sync(path.parent)
        return log

    def logs(self, below: str) -> Path:
        """Return the folder itself."""
        return self.path / below

    def hold_lock(self) -> AbstractContextManager[None]:
        """Hold the operating system's lock on a file, which ends with its process."""
        return hold_file_lock(self.path / _LOCK)

    def is_locked(self) -> bool:
        """Whether a process holds the lock."""
        return is_file_locked(self.path / _LOCK)

    def free(self) -> int | None:
        """Return the free bytes of the file system, that of the nearest existing parent for a new folder."""
        path = self.path.absolute()
        existing = next(folder for folder in (path, *path.parents) if folder.exists())
        return shutil.disk_usage(existing).free

    def reserve(self, name: str, size: int) -> None:
        """Allocate a file of this size."""
        with Path(self._placed(name)).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, size))

    def _copy(self, source: Path, target: Path) -> bool:
        part = target.with_name(f".{target.name}.part")
        try:
            file = part.open("xb")  # also blocks other writers of this name, in any process
        except FileExistsError:
            return False
        try:
            with file, source.open("rb") as original:
                if os.path.lexists(target):
                    return False
                shutil.copyfileobj(original, file)
                file.flush()
                os.fsync(file.fileno())
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)
        return True

    def _placed(self, name: str) -> str:
        """Return the path of a name whose folder exists from now on."""
        folder = _parent(name)
        if folder not in self._existing:
            self._make_folder(self.path / folder)
            self._existing.add(folder)
        return f"{self._root}/{name}"

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if folder != self.path:
            self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True, parents=True)
        _sync(folder.parent)


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


class FileLog:
    """A log in a file, flushed with every append."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._size = 0

    def append(self, data: bytes) -> None:
        """Write and flush; undo a partial write to a full disk."""
        assert self._descriptor is not None, "appended to a closed log"
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


def _sizes_by_arrow(folder: Path, names: Sequence[str]) -> list[int | None] | None:
    """Return the bytes of each file; None instead of the list if a name is not one that Arrow can look up."""
    import pyarrow as pa  # noqa: PLC0415 - takes a while, and is loaded already where tables are written
    from pyarrow import fs  # noqa: PLC0415

    place = Path.cwd() / folder
    try:
        files = fs.LocalFileSystem().get_file_info([f"{place!s}/{name}" for name in names])
    except (OSError, UnicodeError, pa.ArrowException):
        return None
    return [file.size for file in files]


def _sync(folder: Path | str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _drop_from_cache(descriptor: int) -> None:
    """Free the page cache of a file that is not read again soon, so that the next image does not wait for memory."""
    if hasattr(os, "posix_fadvise"):  # not on every Unix
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
