"""Is another run at work in this folder?

The lock is the operating system's (flock): it dies with its process, whatever killed it, so no stale lock
ever has to be cleaned. On network shares it holds as far as the share honours flock between hosts (NFSv4
and SMB usually do); the note inside names host and process so that a person can look.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from imagen_batch.errors import FolderBusy

_PATIENCE_S = 0.3  # whoever only looks whether it is held holds it for a moment


@contextmanager
def flocked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`. Raises FolderBusy, which names who holds it, if another process does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _taken(descriptor):
            raise FolderBusy(_busy(path, os.pread(descriptor, 1000, 0)))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, orjson.dumps({"pid": os.getpid(), "host": socket.gethostname()}), 0)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    ends = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > ends:
                return False
            time.sleep(0.02)
        else:
            return True


def is_flocked(path: Path) -> bool:
    """Whether a process holds the lock file at `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _busy(path: Path, note: bytes) -> str:
    holder = ""
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        facts = orjson.loads(note)
        holder = f" (process {facts['pid']} on {facts['host']})"
    return f"another run is at work in {path.parent.parent}{holder}; wait for it or choose another --out"
