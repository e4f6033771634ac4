"""Reserves disk space for the images in flight, so that a full disk stops the run before it costs more.

Before an attempt is sent, space for its images is reserved: the size of the largest image of its model and size so
far, plus a quarter. If that does not fit beside the other reservations, the attempt waits until some of them are
released; the run stops once nothing is in flight and the attempt still does not fit. A ballast covers what the file
system does not report (a user's quota, another program that fills the disk): a file that is deleted on the first
failed write, so that the images in flight can still be saved. Space in an object store is unlimited.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from imagen_batch.errors import storage_failure
from imagen_batch.storage import STATE, Storage

_BALLAST = f"{STATE}/ballast"
_BALLAST_BYTES = 8 * 2**20
_SHARE_OF_FREE = 0.1  # the largest part of the free space that a ballast takes
_MARGIN_BYTES = 2**20  # for ledger and tables
_HEADROOM = 1.25  # images of one kind differ in size
_MEASURE_EVERY_S = 0.05
_PLENTY_FACTOR = 8  # below this multiple of the needed bytes, free space is measured before each attempt
_PAUSE_S = 0.02

_PNG_BYTES = {"512": 500_000, "1K": 1_500_000, "2K": 6_000_000, "4K": 24_000_000}  # of a photograph, by image size

ImageKind = tuple[str, str | None]
"""Model and image size: images of one kind have about the same number of bytes."""


def estimate_bytes(image_size: str | None) -> int:
    """Return the bytes of a PNG of a photograph, the largest file that services send, in this image size."""
    return _PNG_BYTES.get(image_size or "1K", _PNG_BYTES["1K"])


class DiskSpace:
    """The free space of `storage`. `in_flight` is how many images may be requested at once."""

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
        self._free = free or storage.free
        self._clock = clock
        self._measured: int | None = None
        self._measured_at = -_MEASURE_EVERY_S
        self._written = 0  # bytes since that measurement
        self._reserved: dict[str, tuple[int, ImageKind]] = {}  # by request
        self._largest: dict[ImageKind, int] = {}
        self._lock = threading.Lock()

    def create_ballast(self) -> None:
        """Create the ballast, as large as the free space allows."""
        free = self._free()
        if free is not None:
            size = min(max(_BALLAST_BYTES, self._in_flight * estimate_bytes("1K")), free * _SHARE_OF_FREE)
            with suppress(OSError):
                self._storage.reserve(_BALLAST, int(size))

    def reserve(self, key: str, *, images: int, kind: ImageKind, pause: Callable[[float], None] = time.sleep) -> None:
        """Return once space for the images of a request is reserved. `pause` may raise when the run stops first.

        Raises StopRun when they do not fit although nothing else is in flight. A request that is sent again keeps
        its reservation.
        """
        while not self._try_reserve(key, images, kind):
            pause(_PAUSE_S)

    def release(self, key: str) -> None:
        """Drop the reservation of a request whose images are stored or will not arrive."""
        with self._lock:
            self._reserved.pop(key, None)

    def record_size(self, size: int, *, key: str = "") -> None:
        """Record that an image of `size` bytes was stored for a request."""
        with self._lock:
            self._written += size
            if key in self._reserved:
                reserved, kind = self._reserved[key]
                self._largest[kind] = max(self._largest.get(kind, 0), size)
                self._reserved[key] = max(0, reserved - size), kind

    def release_ballast(self) -> None:
        """Delete the ballast to make room for the images in flight."""
        if self._free() is not None:
            self._storage.remove(_BALLAST)

    def _try_reserve(self, key: str, images: int, kind: ImageKind) -> bool:
        with self._lock:
            needed = self._expected_size(kind) * images
            other_bytes = sum(size for other, (size, _) in self._reserved.items() if other != key)
            total = other_bytes + needed + _MARGIN_BYTES
            free = self._measure(total)
            if free is None or free >= total:
                self._reserved[key] = needed, kind
                return True
            if self._reserved.keys() - {key}:
                return False
        raise storage_failure(f"{free / 1e6:.1f} MB are free, the next images may need {total / 1e6:.1f} MB")

    def _expected_size(self, kind: ImageKind) -> int:
        """Estimate the bytes of an image of this kind from the largest so far."""
        largest = self._largest.get(kind)
        return estimate_bytes(kind[1]) if largest is None else int(largest * _HEADROOM)

    def _measure(self, needed: int) -> int | None:
        """Return the free bytes, measured unless that was done just before and there was plenty."""
        now = self._clock()
        has_plenty = self._measured is not None and self._measured - self._written > _PLENTY_FACTOR * needed
        if not has_plenty or now - self._measured_at >= _MEASURE_EVERY_S:
            self._measured, self._measured_at, self._written = self._free(), now, 0
        return None if self._measured is None else self._measured - self._written
