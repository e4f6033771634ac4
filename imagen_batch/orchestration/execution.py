"""One execution of a run: our threads do the work, and Prefect watches it.

The side that works never calls Prefect and never waits for it. What Prefect shows (shards as tasks, progress, the
final state) it takes from here, whenever its server is ready to; if that never happens, the run is the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol

from imagen_batch.errors import Fatal, SettingsInvalid, storage_failure
from imagen_batch.orchestration.local_executor import LocalExecutor, ShardWork
from imagen_batch.planning.pending import PendingTotals
from imagen_batch.reports.summary import Summary
from imagen_batch.runs.run import Run
from imagen_batch.runs.signals import handle_signals
from imagen_batch.sending.stop import Stop
from imagen_batch.text import plural

_LOOK_EVERY_S = 0.5


class Making(Protocol):
    """Where the shards of a run are made."""

    def cut(self) -> None:
        """End what is in flight."""

    def run_shards(self) -> Iterator[None]:
        """Make all shards; yields now and then."""


@dataclass
class Execution:
    """A run, what is left to do of it, and what the watching side needs to know.

    `attached` is set once Prefect's flow run watches; `context` is that flow run's, for tasks of Dask and Ray.
    """

    run: Run
    left: PendingTotals
    attached: threading.Event = field(default_factory=threading.Event)
    context: Context | None = None
    summary: Summary | None = None
    _shards: SimpleQueue[ShardWork | None] = field(default_factory=SimpleQueue)

    def complete(self, *, say: Callable[[str], None]) -> Summary:
        """Make everything that is left, and write tables and summary. Raises what is a bug, after that.

        `say` hears what a signal sets off.
        """
        making = self._making()
        grace = self.run.plan.settings.grace
        try:
            with handle_signals(self.run.stop, grace=grace, cut=making.cut, record_sent=self._announcing(say)):
                self._make(making)
        finally:
            self._shards.put(None)
        assert self.summary is not None
        return self.summary

    def shards(self) -> Iterator[ShardWork | None]:
        """The shards as they are started, until none follows; None now and then in between."""
        while True:
            try:
                work = self._shards.get(timeout=_LOOK_EVERY_S)
            except Empty:
                yield None
                continue
            if work is None:
                return
            yield work

    def _make(self, making: Making) -> None:
        try:
            with _stopping_on_errors(self.run.stop):
                for _ in making.run_shards() if self.left.requests else ():
                    pass
        finally:
            self.summary = self.run.finish()

    def _making(self) -> Making:
        if self.run.plan.settings.runner == "threads":
            return LocalExecutor(self.run, self._shards.put)
        from imagen_batch.orchestration.cluster_executor import ClusterExecutor  # noqa: PLC0415 - Prefect's tasks: only where they are needed

        return ClusterExecutor(self.run, self.context)

    def _announcing(self, say: Callable[[str], None]) -> Callable[[int], None]:
        return lambda number: say(self._stopping(number))

    def _stopping(self, number: int) -> str:
        """What the first signal sets off."""
        settings = self.run.plan.settings
        again = "Press Ctrl-C again to abandon them." if number == 2 else "A second signal abandons them."
        if settings.runner != "threads":
            return f"Stopping: waiting up to {settings.grace:g} s for the images in flight at the workers. {again}"
        if not (images := self.run.in_flight):
            return "Stopping: nothing is in flight."
        return (
            f"Stopping: waiting up to {settings.grace:g} s for {plural(images, 'image')} already paid for. "
            f"{again if images > 1 else again.replace('them', 'it')}"
        )


@contextmanager
def _stopping_on_errors(stop: Stop) -> Iterator[None]:
    """What goes wrong with the making itself ends the run, and its summary says so."""
    try:
        yield
    except SettingsInvalid as error:
        stop.fail(Fatal(str(error), kind="settings", outcome="settings"))
    except Fatal as error:
        stop.fail(error)
    except OSError as error:
        stop.fail(storage_failure(error))
    except Exception as error:
        stop.fail(Fatal(f"a bug: {error!r}", kind="bug", outcome="bug", exit_code=1))
        raise
