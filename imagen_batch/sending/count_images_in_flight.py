"""Counts the images of attempts that are in flight."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class InFlight:
    """The number of images that are being requested at the moment, over all threads."""

    def __init__(self) -> None:
        self.images = 0
        self._lock = threading.Lock()

    @contextmanager
    def hold(self, images: int) -> Iterator[None]:
        """Count this many images for the duration of the block."""
        self._add(images)
        try:
            yield
        finally:
            self._add(-images)

    def _add(self, images: int) -> None:
        with self._lock:
            self.images += images
