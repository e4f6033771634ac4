"""How is the simulator started and stopped within a program?"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imagen_batch.simulator.faults.rules import Mischief, read_rules
from imagen_batch.simulator.journal import Journal
from imagen_batch.simulator.quota import Quota
from imagen_batch.simulator.server import Desk, Server
from imagen_batch.simulator.service import Service
from imagen_batch.simulator.usage_log import Bill, Delivered, Received, Tally


class Simulator:
    """An image service on loopback while the `with` block lasts.

        with Simulator(faults=[{"match": "*", "fault": "overloaded_503", "times": 1}]) as sim:
            requests.post(f"{sim.url}/v1beta/models/imagen-4.0-generate-001:predict", ...)
            assert sim.bill.total == 1

    `faults` are rules (see `mischief`) or the path of a file of them, `latency` seconds, `record` a folder.
    """

    def __init__(  # noqa: PLR0913 - one keyword for each thing a service can be
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
        service = Service(Mischief(rules), quota, extra_models=models)
        self._tally = Tally()
        journal = Journal(record) if record else None
        self._server = Server((host, port), Desk(service, self._tally, latency, clock, journal))

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return self._server.url

    @property
    def requests(self) -> Sequence[Received]:
        """Everything that arrived, oldest first."""
        return tuple(self._tally.requests)

    @property
    def pictures(self) -> Sequence[Delivered]:
        """Every picture that went out, oldest first."""
        return tuple(self._tally.delivered)

    @property
    def bill(self) -> Bill:
        """What a service would charge so far."""
        return self._tally.bill()

    @property
    def stats(self) -> dict[str, Any]:
        """What GET /_sim/stats says."""
        return self._tally.stats()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
