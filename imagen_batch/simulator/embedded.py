"""Starts and stops the simulator within a program."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imagen_batch.simulator.exchange_log import Journal
from imagen_batch.simulator.faults.choose_fault import FaultRules, read_rules
from imagen_batch.simulator.quota import Quota
from imagen_batch.simulator.server import Server, ServerContext
from imagen_batch.simulator.service import Service
from imagen_batch.simulator.usage_log import Bill, DeliveredImage, ReceivedRequest, UsageLog


class Simulator:
    """An image service on loopback while the `with` block lasts.

        with Simulator(faults=[{"match": "*", "fault": "overloaded_503", "times": 1}]) as sim:
            requests.post(f"{sim.url}/v1beta/models/imagen-4.0-generate-001:predict", ...)
            assert sim.bill.total == 1

    `faults` are rules (see `faults.rules`) or the path of a file with rules, `latency` is in seconds, `record` is a
    folder.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each property of a service
        self,
        *,
        faults: Sequence[Mapping[str, Any]] | Path = (),
        latency: float = 0.0,
        requests_per_minute: int | None = None,
        burst: int | None = None,
        requests_per_day: int | None = None,
        models: Collection[str] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        record: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        rules = read_rules(json.loads(faults.read_text("utf-8")) if isinstance(faults, Path) else list(faults))
        quota = Quota(per_minute=requests_per_minute, burst=burst, per_day=requests_per_day, clock=clock)
        service = Service(FaultRules(rules), quota, extra_models=models)
        self._usage_log = UsageLog()
        journal = Journal(record) if record else None
        self._server = Server((host, port), ServerContext(service, self._usage_log, latency, clock, journal))

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return self._server.url

    @property
    def requests(self) -> Sequence[ReceivedRequest]:
        """All requests that arrived, oldest first."""
        return tuple(self._usage_log.requests)

    @property
    def images(self) -> Sequence[DeliveredImage]:
        """All images that were sent, oldest first."""
        return tuple(self._usage_log.delivered)

    @property
    def bill(self) -> Bill:
        """What a service would have charged so far."""
        return self._usage_log.bill()

    @property
    def stats(self) -> dict[str, Any]:
        """The content of GET /_sim/stats."""
        return self._usage_log.stats()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
