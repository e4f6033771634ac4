"""Executes a run in threads of this process or on a cluster, and lets Prefect show it.

The executing code never calls Prefect and never waits for it. Prefect takes what it shows (shards as tasks, progress,
the final state) from here whenever its server is ready; if that never happens, the run is the same.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from imagen_batch.errors import SettingsInvalid, StopRun, bug, storage_failure
from imagen_batch.orchestration.executors.local_executor import LocalExecutor, ShardWork
from imagen_batch.planning.pending import PendingTotals
from imagen_batch.runs.run import Run
from imagen_batch.runs.signals import handle_signals
from imagen_batch.runs.time_limit import end_in_time
from imagen_batch.sending.stop import Stop
from imagen_batch.text import plural

if TYPE_CHECKING:
    from imagen_batch.reports.summary import Summary
    from imagen_batch.runs.finalize import WritePage

_POLL_S = 0.5
_FIRST_REQUESTS_S, _FIRST_REQUESTS_POLL_S = 2.0, 0.005


class Executor(Protocol):
    """Makes the shards of a run, in this process or on a cluster."""

    def abort(self) -> None:
        """Abort what is in flight."""

    def run_shards(self) -> Iterator[None]:
        """Make all shards; yields now and then."""


@dataclass
class Execution:
    """A run, its pending work, and the state that Prefect shows of it.

    `attached` is set once Prefect's flow run watches; `context` is that of the flow run, for tasks of Dask and Ray.
    `started_shards` are those that this process has started; `ended` is set when nothing more happens.
    """

    run: Run
    pending: PendingTotals
    attached: threading.Event = field(default_factory=threading.Event)
    context: Context | None = None
    summary: Summary | None = None
    started_shards: list[ShardWork] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    _shards: SimpleQueue[ShardWork | None] = field(default_factory=SimpleQueue)
    _executor: Executor | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as None: with each task Dask and Ray send the flow, which refers to its execution."""
        return type(None), ()

    def complete(self, *, notify: Callable[[str], None]) -> Summary:
        """Make everything that is pending and write tables and summary; then raise an error that is a bug.

        `notify` gets a message when a signal stops the run.
        """
        executor = self._executor = self._make_executor()
        grace = self.run.plan.settings.grace

        def announce(number: int) -> None:
            notify(self._describe_stopping(number))

        try:
            with (
                handle_signals(self.run.stop, grace=grace, abort=executor.abort, announce=announce),
                end_in_time(self.run, abort=executor.abort, notify=notify),
            ):
                self._run_shards(executor, notify)
        finally:
            self.ended.set()
            self._shards.put(None)
        assert self.summary is not None
        return self.summary

    def cancel(self) -> None:
        """Stop as at Ctrl-C: nothing more is sent, and what is in flight gets the grace time."""
        self.run.stop.interrupt(signal.SIGINT)
        timer = threading.Timer(self.run.plan.settings.grace, self._abort)
        timer.daemon = True
        timer.start()

    def _abort(self) -> None:
        if self._executor is not None and not self.ended.is_set():
            self._executor.abort()

    def shards(self) -> Iterator[ShardWork | None]:
        """Yield each shard when it starts, and None now and then in between."""
        while True:
            try:
                work = self._shards.get(timeout=_POLL_S)
            except Empty:
                yield None
                continue
            if work is None:
                return
            yield work

    def wait_for_first_requests(self) -> None:
        """Wait until a request has been sent, so that other work does not delay it. Gives up after two seconds."""
        deadline = time.monotonic() + _FIRST_REQUESTS_S
        while not (self._has_sent or self.ended.is_set() or time.monotonic() > deadline):
            time.sleep(_FIRST_REQUESTS_POLL_S)

    @property
    def _has_sent(self) -> bool:
        return self.run.context.transport.awaits_reply or self.run.finished_samples > 0

    def _start_shard(self, work: ShardWork) -> None:
        self.started_shards.append(work)
        self._shards.put(work)

    def _run_shards(self, executor: Executor, notify: Callable[[str], None]) -> None:
        try:
            with _stopping_on_errors(self.run.stop):
                for _ in executor.run_shards() if self.pending.requests else ():
                    pass
        finally:
            self.summary = self.run.finish(write_page=self._page_writer(notify))

    def _page_writer(self, notify: Callable[[str], None]) -> WritePage | None:
        if not self.run.plan.settings.gallery:
            return None
        from imagen_batch.review.run_gallery import write_run_gallery  # noqa: PLC0415 - only at the end of a run

        return partial(
            write_run_gallery,
            has_new_images=bool(self.pending.requests or self.run.recovered),
            warn=lambda text: notify(f"warning: {text}"),
            is_stopped=self._is_stopped,
        )

    def _is_stopped(self) -> bool:
        return self.run.stop.is_set

    def _make_executor(self) -> Executor:
        if self.run.plan.settings.runner == "threads":
            return LocalExecutor(self.run, self._start_shard)
        from imagen_batch.orchestration.executors.cluster_executor import ClusterExecutor  # noqa: PLC0415 - imports Prefect

        return ClusterExecutor(self.run, self.context)

    def _describe_stopping(self, number: int) -> str:
        """Describe what the first signal does, and what a second one would do."""
        settings = self.run.plan.settings
        repeat_hint = "Press Ctrl-C again to abandon them." if number == 2 else "A second signal abandons them."
        if settings.runner != "threads":
            return (
                f"Stopping: waiting up to {settings.grace:g} s for the images in flight at the workers. {repeat_hint}"
            )
        if not (images := self.run.in_flight):
            return "Stopping: nothing is in flight."
        return (
            f"Stopping: waiting up to {settings.grace:g} s for {plural(images, 'image')} in flight. "
            f"{repeat_hint if images > 1 else repeat_hint.replace('them', 'it')}"
        )


@contextmanager
def _stopping_on_errors(stop: Stop) -> Iterator[None]:
    """Stop the run at an error outside of single requests, so that its summary names the error."""
    try:
        yield
    except SettingsInvalid as error:
        stop.fail(StopRun(str(error), cause="settings"))
    except StopRun as error:
        stop.fail(error)
    except OSError as error:
        stop.fail(storage_failure(error))
    except Exception as error:
        stop.fail(bug(error))
        raise
