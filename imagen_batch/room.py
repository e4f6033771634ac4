"""Is there room for the pictures that are paid for next?

Looked at before each attempt, so that a full disk stops the run before it costs more. What the file system does
not tell (a user's quota) is met by a ballast: a file that is given up at the first write that fails, so that
the pictures under way still find room. An object store has room for everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from imagen_batch.errors import Fatal
from imagen_batch.storage import STATE, Storage

_BALLAST = f"{STATE}/ballast"
_BALLAST_BYTES = 8 * 2**20
_SHARE_OF_FREE = 0.1  # a ballast takes no more of what is there
_FIRST_PICTURE_BYTES = 256 * 2**10  # until the first one tells how large they are
_MARGIN_BYTES = 2**20  # ledger and tables
_LOOK_EVERY_S = 0.5


class Room:
    """The free space of `storage`, for `in_flight` pictures at once."""

    def __init__(
        self,
        storage: Storage,
        *,
        in_flight: int,
        free: Callable[[], int | None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._in_flight = in_flight
        self._largest = _FIRST_PICTURE_BYTES
        self._seen = False
        self._free = free or storage.free
        self._clock = clock
        self._looked = -_LOOK_EVERY_S
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Lay in the ballast, as far as there is room for one."""
        free = self._free()
        if free is not None:
            with suppress(OSError):
                self._storage.reserve(_BALLAST, int(min(_BALLAST_BYTES, free * _SHARE_OF_FREE)))

    def check(self) -> None:
        """Raise Fatal when what is in flight may not find room."""
        now = self._clock()
        with self._lock:
            if now - self._looked < _LOOK_EVERY_S:
                return
            self._looked = now
        free, needed = self._free(), self._in_flight * self._largest + _MARGIN_BYTES
        if free is not None and free < needed:
            raise disk_trouble(f"{free / 1e6:.0f} MB are free, the pictures under way may need {needed / 1e6:.0f} MB")

    def took(self, size: int) -> None:
        """A picture of `size` bytes was kept."""
        with self._lock:
            self._largest = max(self._largest, size) if self._seen else size
            self._seen = True

    def give_up_ballast(self) -> None:
        """Make room at the last moment."""
        if self._free() is not None:
            self._storage.remove(_BALLAST)


def disk_trouble(what: OSError | str) -> Fatal:
    """The run stops until somebody mended the folder."""
    words = what if isinstance(what, str) else what.strerror or str(what)
    return Fatal(f"the output folder can't be written: {words}", kind="disk", outcome="disk", exit_code=75)
