"""What do all threads of a process share while they make pictures?"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from imagen_batch.images.store import ImageStore
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.providers.catalogue import Model
from imagen_batch.providers.endpoints import Provider
from imagen_batch.providers.transport import Transport
from imagen_batch.records import ImageRequest, SampleResult
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.governor import Governor
from imagen_batch.sending.in_flight import InFlight
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import Settings

_MORE_FOR_EACH = 8  # threads


def request_threads(settings: Settings) -> ThreadPoolExecutor:
    """What makes requests. The governors bound what is in flight; a few more go on while others write and flush."""
    most = settings.concurrency + settings.concurrency // _MORE_FOR_EACH
    return ThreadPoolExecutor(most, thread_name_prefix="request")


class Governors:
    """The doors of a process, one for each model. `share` is the part of rate and concurrency that it has."""

    def __init__(self, settings: Settings, stop: Stop, *, share: float = 1.0) -> None:
        self._settings = settings
        self._stop = stop
        self._share = share
        self._of: dict[str, Governor] = {}
        self._lock = threading.Lock()

    def of(self, model: str) -> Governor:
        """The one door for all requests to `model`."""
        with self._lock:
            if model not in self._of:
                self._of[model] = self._made()
            return self._of[model]

    def resize(self, share: float) -> None:
        """The process has another share now; 0 changes nothing, since it sends nothing then."""
        with self._lock:
            if share <= 0 or share == self._share:
                return
            self._share = share
            for governor in self._of.values():
                governor.resize(share)

    def _made(self) -> Governor:
        governor = Governor(
            per_minute=self._settings.requests_per_minute,
            images_per_minute=self._settings.images_per_minute,
            in_flight=self._settings.concurrency,
            outage_limit=self._settings.outage_limit,
            stop=self._stop,
        )
        governor.resize(self._share)
        return governor


@dataclass(frozen=True)
class SendingContext:
    """Everything one process needs to turn requests into pictures.

    `tries` tells how many attempts earlier runs made for a request that has no result yet.
    `seen` hears of each result, in the thread that recorded it.
    """

    settings: Settings
    models: Mapping[str, Model]
    provider: Provider
    transport: Transport
    ledger: LedgerWriter
    store: ImageStore
    budget: Budget
    stop: Stop
    governors: Governors
    tries: Callable[[ImageRequest], int] = lambda _request: 0
    seen: Callable[[tuple[SampleResult, ...]], None] = lambda _samples: None
    clock: Callable[[], float] = time.time
    rng: Callable[[], float] = random.random
    in_flight: InFlight = field(default_factory=InFlight)
    # Whole bodies are large: few threads unpack theirs while the others wait for the service.
    decode_slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2 + (os.cpu_count() or 1)))

    def governor(self, model: str) -> Governor:
        """The one door for all requests to `model`."""
        return self.governors.of(model)

    def close(self) -> None:
        """Flush the ledger and close the connections."""
        self.transport.close()
        self.ledger.close()
