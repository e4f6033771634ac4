"""Configures the C library to keep freed large blocks of memory, since every image needs such blocks.

A reply and its image take megabytes. By default glibc returns such blocks to the system at once and gets the next
one page by page, each cleared, which is a seventh of the CPU time of an image.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

# mallopt(3)
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8

_LARGEST_BYTES = 32 * 2**20  # the largest block that glibc can keep
_KEPT_BYTES = 256 * 2**20
_ARENAS = 2  # so that a block that one thread freed serves another


def keep_large_blocks() -> None:
    """Let this process keep large blocks of memory that it freed. Does nothing without glibc."""
    options = ((_ARENA_MAX, _ARENAS), (_MMAP_THRESHOLD, _LARGEST_BYTES), (_TRIM_THRESHOLD, _KEPT_BYTES))
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in options:
            mallopt(option, value)
