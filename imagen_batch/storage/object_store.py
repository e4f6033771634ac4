"""How does a run live in an object store?

Through fsspec: s3:// (package s3fs), gs:// (gcsfs), az:// (adlfs). An object appears whole or not at all. A name that
is taken is refused by a conditional write, which the store must know; that is tried out when the lock is taken.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import fsspec

from imagen_batch.errors import SettingsInvalid
from imagen_batch.storage.http_status import is_conflict, is_taken
from imagen_batch.storage.lease import Lease
from imagen_batch.storage.object_listing import pages
from imagen_batch.storage.object_log import PartedLog, PartedLogs
from imagen_batch.storage.patience import patiently

_HEADS_AT_ONCE = 32
_CONFLICTS = 4  # writes to one name that met another at once, before it is waited for
_LISTED_IN_VAIN = 4  # objects for each wanted one: a thousand in one listing cost what a head costs
_WILD = set("*?[]")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}


def open_bucket(url: str) -> Bucket:
    """The objects below `url`. Raises SettingsInvalid where it can't be used."""
    scheme, _, rest = url.partition("://")
    url = f"{scheme.lower()}://{rest}"
    try:
        parts = urlsplit(url, allow_fragments=False)
    except ValueError as error:
        raise SettingsInvalid(f"--out {url}: no valid address: {error}") from error
    if parts.username or parts.password or (parts.query and "=" in parts.query):
        raise SettingsInvalid("--out: a URL takes no user, password or query; give keys in the environment")
    if not parts.netloc or not parts.path.strip("/"):
        raise SettingsInvalid(f"--out {url}: expected SCHEME://BUCKET/FOLDER")
    if set(parts.path) & _WILD:
        raise SettingsInvalid(
            f"--out {url}: none of {' '.join(sorted(_WILD))} can stand in it: stores' libraries expand them"
        )
    if parts.scheme not in {*_EXTRAS, "memory"}:
        raise SettingsInvalid(f"--out {url}: unknown kind of store; known: {', '.join(sorted(_EXTRAS))}")
    try:
        files, root = fsspec.url_to_fs(url, **_options(parts.scheme))
    except ImportError as error:
        raise SettingsInvalid(f"--out {url}: needs pip install 'imagen-batch[{_EXTRAS[parts.scheme]}]'") from error
    except Exception as error:
        raise SettingsInvalid(f"--out {url}: {' '.join(str(error).split())[:300]}") from error
    return Bucket(url, files, root)


def _options(scheme: str) -> dict[str, Any]:
    # What a listing said a moment ago is not the truth: other machines write there, too.
    options: dict[str, Any] = {"use_listings_cache": False} if scheme in _EXTRAS else {}
    if _EXTRAS.get(scheme) == "gs" and os.environ.get("STORAGE_EMULATOR_HOST"):
        options |= {"token": "anon"}  # as Google's own clients do: an emulator asks for no account
        # An emulator has no gRPC, which gcsfs would ask for the kind of the bucket.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    return options


class Bucket:
    """The objects below `root` of an fsspec file system."""

    links = False

    def __init__(self, url: str, files: Any, root: str) -> None:
        self.place = url
        self._files = files
        self._root = root.rstrip("/")
        # Tables are made here before they are sent, and what has to be read at many places is copied here.
        self._here = Path(tempfile.mkdtemp(prefix="imagen-batch-"))
        atexit.register(shutil.rmtree, self._here, ignore_errors=True)
        self._logs: dict[str, PartedLogs] = {}
        self._lease: Lease | None = None

    def read(self, name: str) -> bytes:
        """Get the object."""
        with _own_errors():
            return bytes(self._files.cat_file(self._path(name)))

    def size(self, name: str) -> int | None:
        """Ask for the object's head."""
        try:
            with _own_errors():
                return int(self._files.info(self._path(name))["size"])
        except FileNotFoundError:
            return None

    def sizes_of(self, names: Sequence[str]) -> list[int | None]:
        """List what lies between the first and the last name, then ask for the heads of those that are far apart."""
        wanted = sorted(self._path(name) for name in names)
        found, upto = self._listed(wanted) if wanted else ({}, "")
        beyond = {name for name in names if self._path(name) > upto}
        with ThreadPoolExecutor(_HEADS_AT_ONCE) as threads:
            heads = dict(zip(beyond, threads.map(self.size, beyond), strict=True))
        return [heads[name] if name in beyond else found.get(self._path(name)) for name in names]

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        """List the objects."""
        prefix = self._path(f"{below}/") if below else f"{self._root}/"
        with _own_errors():
            for page in pages(self._files, prefix):
                yield from ((path[len(self._root) + 1 :], size) for path, size in page)

    def put(self, name: str, data: bytes) -> None:
        """Put the object."""
        patiently(self.place)(self._pipe, name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Put the object unless there is one."""
        patience = patiently(self.place)
        try:
            patience(self._pipe_unless_there, name, data)
        except FileExistsError:  # ours, where an earlier try arrived and only its reply was lost
            return patience.statistics["attempt_number"] > 1 and self.read(name) == data
        return True

    def link(self, source: str, name: str) -> bool:
        """A second object: stores copy without asking whether the name is taken."""
        return self.create(name, self.read(source))

    def move(self, source: str, name: str) -> None:
        """Copy within the store, then remove."""
        self._check_lease()
        with _own_errors():
            self._files.cp_file(self._path(source), self._path(name))
        self.remove(source)

    def remove(self, name: str) -> None:
        """Delete the object."""
        try:
            with _own_errors():
                self._files.rm_file(self._path(name))
        except FileNotFoundError:
            pass

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Write on this machine, then send it whole."""
        with tempfile.NamedTemporaryFile(dir=self._here, suffix=PurePosixPath(name).suffix) as handle:
            yield cast("BinaryIO", handle)
            handle.flush()
            patiently(self.place)(self._send, handle.name, name)

    def sync(self, names: Iterable[str]) -> None:
        """An object that was put is there."""

    def local(self, name: str) -> Path:
        """Copy the object to this machine."""
        copy = self._here / "copies" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with _own_errors():
            self._files.get_file(self._path(name), str(copy))
        return copy

    def log(self, name: str) -> PartedLog:
        """A log in parts."""
        return PartedLog(self, name)

    def logs(self, below: str) -> Path:
        """Copy all parts that are not here yet."""
        if below not in self._logs:
            self._logs[below] = PartedLogs(self, below, self._here / "logs" / below)
        return self._logs[below].refreshed()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """A lock that has to be renewed; while it is held nothing is written without it."""
        lease = Lease(self)
        with lease.held():
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    def is_locked(self) -> bool:
        """Whether somebody renews it."""
        return Lease(self).is_held()

    def free(self) -> int | None:
        """A store has no end."""
        return None

    def reserve(self, name: str, size: int) -> None:
        """There is no end to take room from."""

    def read_all(self, names: Iterable[str]) -> list[bytes]:
        """Many objects at once, in the order asked for."""
        paths = [self._path(name) for name in names]
        with _own_errors():
            found = self._files.cat(paths, on_error="raise") if len(paths) > 1 else None
            return [self._files.cat_file(path) if found is None else found[path] for path in paths]

    def remove_all(self, names: Iterable[str]) -> None:
        """Many objects at once."""
        self._check_lease()
        paths = [self._path(name) for name in names]
        with _own_errors():
            if paths:
                self._files.rm(paths)

    def put_once(self, name: str, data: bytes) -> None:
        """Put the object, or fail at once."""
        self._pipe(name, data)

    def _send(self, source: str, name: str) -> None:
        self._check_lease()
        with _own_errors():
            self._files.put_file(source, self._path(name))

    def _check_lease(self) -> None:
        """Raise PermissionError once the lock is in other hands: what they write is not written over."""
        if self._lease is not None and self._lease.lost is not None:
            raise PermissionError(self._lease.lost)

    def _pipe(self, name: str, data: bytes, **how: str) -> None:
        self._check_lease()
        with _own_errors():
            self._files.pipe_file(self._path(name), data, **how)

    def _pipe_unless_there(self, name: str, data: bytes) -> None:
        """Raise FileExistsError where the name is taken, however the store says so."""
        for left in reversed(range(_CONFLICTS)):
            try:
                self._pipe(name, data, mode="create")
            except OSError as error:
                if is_taken(error):
                    raise FileExistsError(name) from error
                if not is_conflict(error) or not left:
                    raise
                if self.size(name) is not None:
                    raise FileExistsError(name) from error
            else:
                return

    def _listed(self, wanted: Sequence[str]) -> tuple[dict[str, int], str]:
        """Objects from the first wanted path on, and up to which one; not much more than there are wanted."""
        found: dict[str, int] = {}
        with _own_errors():
            for page in pages(self._files, f"{self._root}/", after=wanted[0][:-1]):
                found.update(page)
                if page[-1][0] >= wanted[-1] or len(found) > _LISTED_IN_VAIN * len(wanted):
                    return found, page[-1][0]
        return found, wanted[-1]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


@contextmanager
def _own_errors() -> Iterator[None]:
    """Every store's library has errors of its own: what leaves here is an OSError."""
    try:
        yield
    except (OSError, TypeError, NotImplementedError):  # the latter two are bugs, of ours or theirs
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
