"""Holds a lock that ends with its process, for work that two processes should not do at once."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_S = 0.05


@contextmanager
def hold_file_lock(path: Path, *, patience: float) -> Iterator[bool]:
    """Hold the lock `path` for the block; yields False if another process still holds it after `patience` seconds."""
    deadline = time.monotonic() + patience
    with path.open("ab") as file:
        while not (held := _try_lock(file.fileno())) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        yield held


def _try_lock(descriptor: int) -> bool:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
