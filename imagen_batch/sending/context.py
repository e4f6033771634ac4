"""Holds the state that all threads of a process share while they generate images."""

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
from imagen_batch.providers.endpoint_and_credential import Provider
from imagen_batch.providers.transport import Transport
from imagen_batch.records import ImageRequest, SampleResult
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.count_images_in_flight import InFlight
from imagen_batch.sending.governor import Governor
from imagen_batch.sending.pacing.earlier_pace import EarlierPaces
from imagen_batch.sending.read_references import ReferenceLoader
from imagen_batch.sending.stop import Stop
from imagen_batch.sending.tracing import Tracing, find_tracing
from imagen_batch.settings import Settings

_THREADS_PER_SPARE = 8


def request_threads(settings: Settings) -> ThreadPoolExecutor:
    """Return the threads that send requests.

    The governors bound what is in flight. Spare threads start requests while others write and flush.
    """
    spare = settings.concurrency // _THREADS_PER_SPARE
    return ThreadPoolExecutor(settings.concurrency + spare, thread_name_prefix="request")


class Governors:
    """The governors of a process, one for each model. `share` is the process's part of rate and concurrency.

    They start from the pace that `earlier` runs found.
    """

    def __init__(self, settings: Settings, stop: Stop, *, share: float = 1.0) -> None:
        self.earlier: EarlierPaces | None = None
        self._settings = settings
        self._stop = stop
        self._share = share
        self._by_model: dict[str, Governor] = {}
        self._lock = threading.Lock()

    def of(self, model: str) -> Governor:
        """Return the governor of all requests to `model`."""
        with self._lock:
            if model not in self._by_model:
                self._by_model[model] = self._create(model)
            return self._by_model[model]

    def resize(self, share: float) -> None:
        """Change the process's share. 0 changes nothing: the process sends nothing then."""
        with self._lock:
            if share <= 0 or share == self._share:
                return
            self._share = share
            for governor in self._by_model.values():
                governor.resize(share)

    def remember(self) -> None:
        """Store the pace that the service allowed, for later runs."""
        if self.earlier is not None:
            with self._lock:
                self.earlier.record({model: governor.observed for model, governor in self._by_model.items()})

    def _create(self, model: str) -> Governor:
        governor = Governor(
            per_minute=self._settings.requests_per_minute,
            images_per_minute=self._settings.images_per_minute,
            in_flight=self._settings.concurrency,
            outage_limit=self._settings.outage_limit,
            stop=self._stop,
        )
        if earlier := self.earlier and self.earlier.of(model):
            governor.start_from(earlier)
        governor.resize(self._share)
        return governor


@dataclass(frozen=True)
class SendingContext:
    """Everything one process needs to turn requests into images.

    `previous_attempts` returns how many attempts earlier runs made for a request that has no result yet.
    `on_results` is called with the results of each request, in the thread that recorded them.
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
    previous_attempts: Callable[[ImageRequest], int] = lambda _request: 0
    on_results: Callable[[tuple[SampleResult, ...]], None] = lambda _samples: None
    run_id: str | None = None
    clock: Callable[[], float] = time.time
    rng: Callable[[], float] = random.random
    in_flight: InFlight = field(default_factory=InFlight)
    references: ReferenceLoader = field(default_factory=ReferenceLoader)
    tracing: Tracing = field(default_factory=find_tracing)
    # Bodies are large: few threads decode theirs while the others wait for the service.
    decode_slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2 + (os.cpu_count() or 1)))

    def governor(self, model: str) -> Governor:
        """Return the governor of all requests to `model`."""
        return self.governors.of(model)

    def close(self) -> None:
        """Close the connections, flush and close the ledger, and store the pace that was found."""
        self.transport.close()
        self.ledger.close()
        self.governors.remember()
