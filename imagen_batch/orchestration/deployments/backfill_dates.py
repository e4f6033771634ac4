"""Makes the runs of several dates, without Prefect: what is missing, what failed as well, or all of them."""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

from imagen_batch.errors import FolderBusy, ImagenBatchError
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.monitoring.start_and_end import Follow, watch_run
from imagen_batch.orchestration.deployments.made_dates import DateState
from imagen_batch.orchestration.execution import Execution
from imagen_batch.planning.pending import count_pending
from imagen_batch.reports.summary import Summary
from imagen_batch.runs.run import Run, open_run
from imagen_batch.runs.signals import handle_signals
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import Settings

Which = Literal["missing", "missing-and-failed", "all"]
_CHOSEN: dict[Which, set[DateState]] = {
    "missing": {"missing", "unfinished"},
    "missing-and-failed": {"missing", "unfinished", "failed"},
    "all": {"missing", "unfinished", "failed", "ok"},
}
_GOES_ON = (0, 3, 4)
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Day:
    """A date of a job: the settings of its run, and what is known of it."""

    date: dt.date
    settings: Settings
    state: DateState


@dataclass(frozen=True, slots=True)
class Done:
    """How the run of a date ended; `code` is an exit code of `run`."""

    day: Day
    code: int
    text: str


def choose(days: Iterable[Day], which: Which, *, backwards: bool = False) -> tuple[Day, ...]:
    """Return the days to make, in their order. Failed samples are sent again where failed dates are made."""
    chosen = [day for day in days if day.state in _CHOSEN[which]]
    return tuple(reversed(chosen)) if backwards else tuple(chosen)


def with_retries(day: Day, which: Which) -> Settings:
    """Return the settings of a day's run: what failed is sent again where the user chose failed dates."""
    if which != "missing-and-failed" or day.state != "failed":
        return day.settings
    retry = tuple(dict.fromkeys((*day.settings.retry, "failed")))
    return day.settings.model_copy(update={"retry": retry})


class Backfill:
    """Makes runs, a few at a time. A signal ends all of them, and one that has to stop keeps others from starting."""

    def __init__(self, *, max_active: int, grace: float, say: Callable[[str], None]) -> None:
        self._max_active, self._grace, self._say = max_active, grace, say
        self._lock = threading.Lock()
        self._running: list[Run] = []
        self._stop = _StopAll(self._interrupt)

    def make(self, days: Sequence[Day], which: Which, *, on_done: Callable[[Done], None]) -> list[Done]:
        """Make the runs of these days; those that were not begun are missing from the result."""
        done: list[Done] = []
        waiting = list(days)
        with (
            handle_signals(self._stop, grace=self._grace, abort=self._abort, announce=self._announce),
            ThreadPoolExecutor(self._max_active, thread_name_prefix="date") as threads,
        ):
            running: set[Future[Done]] = set()
            while running or (waiting and self._goes_on(done)):
                while waiting and len(running) < self._max_active and self._goes_on(done):
                    running.add(threads.submit(self._make, waiting.pop(0), which))
                ended, running = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in ended:
                    done.append(future.result())
                    on_done(done[-1])
        return done

    def _goes_on(self, done: Sequence[Done]) -> bool:
        return not self._stop.is_set and all(each.code in _GOES_ON for each in done)

    def _make(self, day: Day, which: Which) -> Done:
        try:
            settings = with_retries(day, which)
            with watch_run(settings, self._say) as watch:
                watch.summary = summary = self._run(settings.without_watching(), watch.follow)
        except FolderBusy as error:
            return Done(day, 3, f"skipped: {error}")
        except ImagenBatchError as error:
            return Done(day, getattr(error, "exit_code", 2), str(error))
        counts = ", ".join(f"{count:,} {name}" for name, count in summary.counts.items() if count)
        reason = f"; {summary.stopped_by}" if summary.stopped_by else ""
        return Done(day, summary.exit_code, counts + reason)

    def _run(self, settings: Settings, follow: Follow) -> Summary:
        plan = prepare_plan(settings, today=dt.datetime.now(dt.UTC).date())
        with open_run(plan, env=os.environ, notify=self._say) as run:
            with self._lock:
                self._running.append(run)
            try:
                if self._stop.signal is not None:
                    run.stop.interrupt(self._stop.signal)
                execution = Execution(run, count_pending(plan, run.history))
                follow(run, execution.pending.samples)
                return execution.complete(notify=self._say)
            finally:
                with self._lock:
                    self._running[:] = [each for each in self._running if each is not run]

    def _interrupt(self, number: int) -> None:
        for run in tuple(self._running):
            run.stop.interrupt(number)

    def _abort(self) -> None:
        for run in tuple(self._running):
            run.abort()

    def _announce(self, _number: int) -> None:
        self._say(f"Stopping: waiting up to {self._grace:g} s for the images in flight.")


class _StopAll(Stop):
    """Passes a signal on to all runs."""

    def __init__(self, pass_on: Callable[[int], None]) -> None:
        super().__init__()
        self._pass_on = pass_on

    def interrupt(self, number: int) -> None:
        """Stop all runs because of the signal with this number."""
        super().interrupt(number)
        self._pass_on(number)
