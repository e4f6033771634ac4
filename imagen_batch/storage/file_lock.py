"""Locks a folder against other runs.

The lock is the operating system's (flock): it ends with its process, whatever killed it, so stale locks never
need a cleanup. On network shares it works as far as the share honors flock between hosts (NFSv4 and SMB usually
do). The note in the lock file names host and process, for a person who looks for the holder.
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

_WAIT_S = 0.3  # `is_file_locked` holds the lock briefly


@contextmanager
def hold_file_lock(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`. Raises FolderBusy, which names the holder, if another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if not _acquire(descriptor):
            raise FolderBusy(_busy_message(path, os.pread(descriptor, 1000, 0)))
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, orjson.dumps({"pid": os.getpid(), "host": socket.gethostname()}), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int) -> bool:
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        else:
            return True


def is_file_locked(path: Path) -> bool:
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


def _busy_message(path: Path, note: bytes) -> str:
    holder = ""
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        facts = orjson.loads(note)
        holder = f" (process {facts['pid']} on {facts['host']})"
    return f"another run is using {path.parent.parent}{holder}; wait for it or choose another --out"
