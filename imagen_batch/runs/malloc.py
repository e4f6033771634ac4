"""How is the memory kept that each picture needs again?

A reply and its picture are megabytes. glibc gives such blocks back to the system at once, and the next one comes
page by page, each cleared: a seventh of what a picture costs. Kept, it is reused.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

# mallopt(3)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

_LARGEST_BYTES = 32 * 2**20  # the most that glibc lets be kept
_KEPT_BYTES = 256 * 2**20
_ARENAS = 2  # what one thread gave back serves another


def keep_large_blocks() -> None:
    """Let this process keep large blocks of memory that it gave back. Without glibc nothing happens."""
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for what, value in ((_ARENA_MAX, _ARENAS), (_MMAP_THRESHOLD, _LARGEST_BYTES), (_TRIM_THRESHOLD, _KEPT_BYTES)):
            mallopt(what, value)
