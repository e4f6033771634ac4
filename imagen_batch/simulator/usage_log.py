"""Counts the requests that arrived, the replies that were sent and what the service would bill."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request."""

    time: float  # seconds since the epoch
    method: str
    path: str  # with its query, as sent
    headers: Mapping[str, str]  # names in lower case
    body: bytes


@dataclass(frozen=True, slots=True)
class DeliveredImage:
    """One image that was sent in a 200; `whole` is False where a fault damaged it or its transfer."""

    prompt: str
    sample: int
    model: str
    sha256: str
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Bill:
    """What a service would charge: images in replies, by model. `lost` counts those that did not arrive whole."""

    images: Mapping[str, int]
    lost: Mapping[str, int]
    attempts: Mapping[int, int]  # by HTTP status; 0: no reply

    @property
    def total(self) -> int:
        """The number of all images."""
        return sum(self.images.values())


_MAX_ENTRIES = 20_000
_MAX_BYTES = 256 * 2**20  # requests with reference images are large


@dataclass(slots=True)
class UsageLog:
    """Thread-safe counters. Counts include everything; `requests` and `delivered` hold only the latest."""

    requests: deque[ReceivedRequest] = field(default_factory=deque)
    delivered: deque[DeliveredImage] = field(default_factory=lambda: deque(maxlen=_MAX_ENTRIES))
    attempts: Counter[int] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)  # by model
    undelivered: Counter[str] = field(default_factory=Counter)  # by model
    faults: Counter[str] = field(default_factory=Counter)
    remembered_bytes: int = 0  # of the bodies in `requests`
    in_flight: int = 0
    in_flight_most: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def attempt(self, received: ReceivedRequest) -> Iterator[None]:
        """Count a request as in flight from its arrival to the end of its reply."""
        with self._lock:
            self._remember(received)
            self.in_flight += 1
            self.in_flight_most = max(self.in_flight_most, self.in_flight)
        try:
            yield
        finally:
            with self._lock:
                self.in_flight -= 1

    def _remember(self, received: ReceivedRequest) -> None:
        self.requests.append(received)
        self.remembered_bytes += len(received.body)
        while len(self.requests) > _MAX_ENTRIES or (self.remembered_bytes > _MAX_BYTES and len(self.requests) > 1):
            self.remembered_bytes -= len(self.requests.popleft().body)

    def answered(self, status: int, *, fault: str | None, images: Iterable[DeliveredImage]) -> None:
        """Count a reply; status 0 means that no byte was sent."""
        with self._lock:
            self.attempts[status] += 1
            if fault:
                self.faults[fault] += 1
            if status == 200:
                self._deliver(list(images))

    def _deliver(self, images: Sequence[DeliveredImage]) -> None:
        self.delivered.extend(images)
        self.made.update(image.model for image in images)
        self.undelivered.update(image.model for image in images if not image.whole)

    def hung_up(self, images: Iterable[DeliveredImage]) -> None:
        """Count images as lost because the client hung up."""
        with self._lock:
            self.undelivered.update(image.model for image in images if image.whole)

    def bill(self) -> Bill:
        """Return the bill so far."""
        with self._lock:
            return Bill(dict(self.made), dict(self.undelivered), dict(self.attempts))

    def stats(self) -> dict[str, Any]:
        """Return all counts, ready for JSON."""
        bill = self.bill()
        with self._lock:
            images = [
                {
                    "prompt": p.prompt,
                    "sample": p.sample,
                    "model": p.model,
                    "sha256": p.sha256,
                    "whole": p.whole,
                }
                for p in self.delivered
            ]
            return {
                "attempts": {str(status): count for status, count in sorted(bill.attempts.items())},
                "faults": dict(self.faults),
                "pictures_made": bill.total,
                "pictures_by_model": dict(bill.images),
                "pictures_lost": dict(bill.lost),
                "in_flight_max": self.in_flight_most,
                "pictures": images,
            }
