"""Stores a run in an object store, through fsspec: s3:// (package s3fs), gs:// (gcsfs), az:// (adlfs).

An object appears whole or not at all. A conditional write refuses a name that is taken; the store must support that,
which is tested when the lock is taken.
"""

from __future__ import annotations

import atexit
import os
import secrets
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
from imagen_batch.storage.objects.error_status import is_conflict, is_taken
from imagen_batch.storage.objects.object_listing import list_pages
from imagen_batch.storage.objects.object_log import ObjectLog, ObjectLogs
from imagen_batch.storage.objects.object_store_lease import Lease
from imagen_batch.storage.objects.retry import retry_policy

_HEADS_AT_ONCE = 32
_MAX_CONFLICTS = 4  # immediate repetitions of a write that met another write to the same name
_MAX_LISTED_PER_NAME = 4  # listing a thousand objects costs as much as one HEAD request
_WILDCARDS = set("*?[]")
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}


def open_object_store(url: str) -> ObjectStore:
    """Return the storage below `url`. Raises SettingsInvalid for an unusable URL."""
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
    if set(parts.path) & _WILDCARDS:
        raise SettingsInvalid(
            f"--out {url}: must not contain any of {' '.join(sorted(_WILDCARDS))}, which the stores' libraries expand"
        )
    if parts.scheme not in {*_EXTRAS, "memory"}:
        raise SettingsInvalid(f"--out {url}: unknown kind of store; known: {', '.join(sorted(_EXTRAS))}")
    try:
        files, root = fsspec.url_to_fs(url, **_options(parts.scheme))
    except ImportError as error:
        raise SettingsInvalid(f"--out {url}: needs pip install 'imagen-batch[{_EXTRAS[parts.scheme]}]'") from error
    except Exception as error:
        raise SettingsInvalid(f"--out {url}: {' '.join(str(error).split())[:300]}") from error
    return ObjectStore(url, files, root)


def _options(scheme: str) -> dict[str, Any]:
    # A cached listing may be outdated: other machines write there, too.
    options: dict[str, Any] = {"use_listings_cache": False} if scheme in _EXTRAS else {}
    if _EXTRAS.get(scheme) == "gs" and os.environ.get("STORAGE_EMULATOR_HOST"):
        options |= {"token": "anon"}  # as Google's own clients do: an emulator needs no account
        # An emulator has no gRPC, which gcsfs would use to find the type of the bucket.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    return options


class ObjectStore:
    """The objects below `root` of an fsspec file system."""

    links = False

    def __init__(self, url: str, files: Any, root: str) -> None:
        self.location = url
        self._files = files
        self._root = root.rstrip("/")
        # Tables are written here before they are uploaded, and logs are copied here.
        self._local_folder = Path(tempfile.gettempdir()) / f"imagen-batch-{secrets.token_hex(16)}"
        atexit.register(shutil.rmtree, self._local_folder, ignore_errors=True)
        self._local_folder.mkdir(mode=0o700)
        self._logs: dict[str, ObjectLogs] = {}
        self._lease: Lease | None = None

    def read(self, name: str) -> bytes:
        """Get the object."""
        with _raise_os_errors():
            return bytes(self._files.cat_file(self._path(name)))

    def size(self, name: str) -> int | None:
        """Send a HEAD request for the object."""
        try:
            with _raise_os_errors():
                return int(self._files.info(self._path(name))["size"])
        except FileNotFoundError:
            return None

    def sizes_of(self, names: Sequence[str]) -> list[int | None]:
        """List the objects between the first and the last name, then send HEAD requests for names far apart."""
        wanted = sorted(self._path(name) for name in names)
        found, upto = self._list_around(wanted) if wanted else ({}, "")
        beyond = {name for name in names if self._path(name) > upto}
        with ThreadPoolExecutor(_HEADS_AT_ONCE) as threads:
            heads = dict(zip(beyond, threads.map(self.size, beyond), strict=True))
        return [heads[name] if name in beyond else found.get(self._path(name)) for name in names]

    def sizes(self, below: str) -> Iterator[tuple[str, int]]:
        """List the objects."""
        prefix = self._path(f"{below}/") if below else f"{self._root}/"
        with _raise_os_errors():
            for page in list_pages(self._files, prefix):
                yield from ((path[len(self._root) + 1 :], size) for path, size in page)

    def put(self, name: str, data: bytes) -> None:
        """Put the object."""
        retry_policy(self.location)(self._pipe, name, data)

    def create(self, name: str, data: bytes) -> bool:
        """Put the object unless it exists."""
        retry = retry_policy(self.location)
        try:
            retry(self._pipe_if_absent, name, data)
        except FileExistsError:  # our own object, where an earlier try succeeded and only its reply was lost
            return retry.statistics["attempt_number"] > 1 and self.read(name) == data
        return True

    def link(self, source: str, name: str) -> bool:
        """Create a second object: a store's own copy operation does not check whether the name is taken."""
        return self.create(name, self.read(source))

    def move(self, source: str, name: str) -> None:
        """Copy within the store, then delete the original."""
        self._check_lease()
        with _raise_os_errors():
            self._files.cp_file(self._path(source), self._path(name))
        self.remove(source)

    def remove(self, name: str) -> None:
        """Delete the object."""
        try:
            with _raise_os_errors():
                self._files.rm_file(self._path(name))
        except FileNotFoundError:
            pass

    @contextmanager
    def write(self, name: str) -> Iterator[BinaryIO]:
        """Write on this machine, then upload the whole file."""
        with tempfile.NamedTemporaryFile(dir=self._local_folder, suffix=PurePosixPath(name).suffix) as handle:
            yield cast("BinaryIO", handle)
            handle.flush()
            retry_policy(self.location)(self._upload, handle.name, name)

    def sync(self, names: Iterable[str]) -> None:
        """Do nothing: a stored object is durable."""

    def local(self, name: str) -> Path:
        """Copy the object to this machine."""
        copy = self._local_folder / "copies" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with _raise_os_errors():
            self._files.get_file(self._path(name), str(copy))
        return copy

    def log(self, name: str) -> ObjectLog:
        """Open a log that consists of several objects."""
        return ObjectLog(self, name)

    def logs(self, below: str) -> Path:
        """Copy all parts of the logs that are not yet on this machine."""
        if below not in self._logs:
            self._logs[below] = ObjectLogs(self, below, self._local_folder / "logs" / below)
        return self._logs[below].refresh()

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold a lock that is renewed regularly; once it is lost, nothing more is written."""
        lease = Lease(self)
        with lease.hold():
            self._lease = lease
            try:
                yield
            finally:
                self._lease = None

    def is_locked(self) -> bool:
        """Whether a process renews the lock."""
        return Lease(self).is_held()

    def free(self) -> int | None:
        """Return None: space is unlimited."""
        return None

    def reserve(self, name: str, size: int) -> None:
        """Do nothing: space is unlimited."""

    def read_all(self, names: Iterable[str]) -> list[bytes]:
        """Read many objects at once, in the given order."""
        paths = [self._path(name) for name in names]
        with _raise_os_errors():
            found = self._files.cat(paths, on_error="raise") if len(paths) > 1 else None
            return [self._files.cat_file(path) if found is None else found[path] for path in paths]

    def remove_all(self, names: Iterable[str]) -> None:
        """Delete many objects at once."""
        self._check_lease()
        paths = [self._path(name) for name in names]
        with _raise_os_errors():
            if paths:
                self._files.rm(paths)

    def put_once(self, name: str, data: bytes) -> None:
        """Put the object without retrying."""
        self._pipe(name, data)

    def _upload(self, source: str, name: str) -> None:
        self._check_lease()
        with _raise_os_errors():
            self._files.put_file(source, self._path(name))

    def _check_lease(self) -> None:
        """Raise PermissionError once the lock is lost, so that another run's files are not overwritten."""
        if self._lease is not None and self._lease.lost is not None:
            raise PermissionError(self._lease.lost)

    def _pipe(self, name: str, data: bytes, **options: str) -> None:
        self._check_lease()
        with _raise_os_errors():
            self._files.pipe_file(self._path(name), data, **options)

    def _pipe_if_absent(self, name: str, data: bytes) -> None:
        """Raise FileExistsError where the name is taken, whichever error the store returns."""
        for tries_left in reversed(range(_MAX_CONFLICTS)):
            try:
                self._pipe(name, data, mode="create")
            except OSError as error:
                if is_taken(error):
                    raise FileExistsError(name) from error
                if not is_conflict(error) or not tries_left:
                    raise
                if self.size(name) is not None:
                    raise FileExistsError(name) from error
            else:
                return

    def _list_around(self, wanted: Sequence[str]) -> tuple[dict[str, int], str]:
        """Return the objects from the first wanted path on, and the path where the listing ends.

        The listing ends early where the store holds many more objects than wanted ones.
        """
        found: dict[str, int] = {}
        with _raise_os_errors():
            for page in list_pages(self._files, f"{self._root}/", after=wanted[0][:-1]):
                found.update(page)
                if page[-1][0] >= wanted[-1] or len(found) > _MAX_LISTED_PER_NAME * len(wanted):
                    return found, page[-1][0]
        return found, wanted[-1]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


@contextmanager
def _raise_os_errors() -> Iterator[None]:
    """Turn the errors of every store's library into OSError."""
    try:
        yield
    except (OSError, TypeError, NotImplementedError):  # the latter two are bugs, ours or the library's
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
