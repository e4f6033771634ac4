"""What do all threads of a process share while they make pictures?"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from imagen_batch.budget import Budget
from imagen_batch.governor import Governor
from imagen_batch.ledger import LedgerWriter
from imagen_batch.models import Model
from imagen_batch.providers import Provider
from imagen_batch.records import ImageRequest, Sample
from imagen_batch.settings import Settings
from imagen_batch.shelf import Shelf
from imagen_batch.stopping import Stop
from imagen_batch.transport import Transport


@dataclass(frozen=True)
class Studio:
    """Everything one process needs to turn requests into pictures.

    `tries` tells how many attempts earlier runs made for a request that has no result yet.
    `seen` hears of each result, in the thread that recorded it.
    """

    settings: Settings
    models: Mapping[str, Model]
    provider: Provider
    transport: Transport
    ledger: LedgerWriter
    shelf: Shelf
    budget: Budget
    stop: Stop
    tries: Callable[[ImageRequest], int] = lambda _request: 0
    seen: Callable[[tuple[Sample, ...]], None] = lambda _samples: None
    clock: Callable[[], float] = time.time
    rng: Callable[[], float] = random.random
    # Whole bodies are large: few threads unpack theirs while the others wait for the service.
    unpacking: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2 + (os.cpu_count() or 1)))
    _governors: dict[str, Governor] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def governor(self, model: str) -> Governor:
        """The one door for all requests to `model`."""
        with self._lock:
            if model not in self._governors:
                self._governors[model] = Governor(
                    per_minute=self.settings.requests_per_minute,
                    images_per_minute=self.settings.images_per_minute,
                    in_flight=self.settings.concurrency,
                    outage_limit=self.settings.outage_limit,
                    stop=self.stop,
                )
            return self._governors[model]

    def close(self) -> None:
        """Flush the ledger and close the connections."""
        self.transport.close()
        self.ledger.close()
