"""Writes the figures of a run every few seconds while it goes on, as an OpenMetrics file.

The file at the end (`metrics.py`) describes the folder; this one describes the run, from counters that it has anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.monitoring.metrics_file import format_families, gauge, replace_file
from imagen_batch.runs.run import Run
from imagen_batch.text import one_line

if TYPE_CHECKING:
    from prometheus_client import Metric

EVERY_S = 5.0
_FIRST_REQUESTS_S, _POLL_S = 2.0, 0.05
_END_S = 10.0


class MetricsDuringRun:
    """Writes `path` in a thread from `follow` to `close`. `warn` gets the reason why that is not possible, once."""

    def __init__(self, path: Path, warn: Callable[[OSError], None], *, every: float = EVERY_S) -> None:
        self._path = path
        self._warn = warn
        self._every = every
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, run: Run, pending: int) -> None:
        """Write the figures of this run, which has `pending` images to make."""
        self._thread = threading.Thread(
            target=self._write_until_end, args=(run, pending), name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Write no more: the figures at the end are not replaced by older ones."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_END_S)

    def _write_until_end(self, run: Run, pending: int) -> None:
        self._wait_for_first_requests(run)
        while not self._ended.is_set():
            try:
                replace_file(self._path, format_running(run, pending, now=time.time()))
            except OSError as error:
                self._warn(error)
                return
            self._ended.wait(self._every)

    def _wait_for_first_requests(self, run: Run) -> None:
        """Wait until requests are in flight: what writing needs is imported only then."""
        deadline = time.monotonic() + _FIRST_REQUESTS_S
        while not run.in_flight and time.monotonic() < deadline:
            if self._ended.wait(_POLL_S):
                return


def format_running(run: Run, pending: int, *, now: float) -> bytes:
    """Return the text of the file for a run that goes on. `pending` images were missing when it began."""
    return format_families(partial(_metrics, run, pending, now))


def _metrics(run: Run, pending: int, now: float) -> Iterator[Metric]:
    name = {"run": one_line(run.context.store.storage.location, 200)}
    yield gauge("running", "1 while a run is going on, 0 after its end", [(name, 1.0)])
    yield gauge("start_timestamp_seconds", "When the run began", [(name, run.started.timestamp())])
    yield gauge("updated_timestamp_seconds", "When the figures of a running run were written", [(name, now)])
    outcomes = {"ok": 0, **run.counter.outcomes}
    values = [({**name, "status": status}, float(count)) for status, count in outcomes.items()]
    yield gauge("run_samples", "Images with a result in the running run, by status", values)
    missing = max(0, pending - run.finished_samples)
    yield gauge("run_pending", "Images without a result yet in the running run", [(name, float(missing))])
    yield gauge("in_flight", "Images that are being requested", [(name, float(run.in_flight))])
    simulated = "true" if run.plan.settings.provider == "simulator" else "false"
    costs = {"last_run": run.counter.usd, "high": run.context.budget.used[0]}
    amounts = [({**name, "of": of, "simulated": simulated}, round(usd, 6)) for of, usd in costs.items()]
    yield gauge("cost_usd", "Cost of the running run so far, and of the folder with what is reserved", amounts)
