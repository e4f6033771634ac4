"""Ends a run in time: at --until or --max-time, less what requests in flight and the tables need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imagen_batch.errors import StopRun
from imagen_batch.runs.run import Run
from imagen_batch.schedules.until_and_max_time import TimeLimit, time_limit
from imagen_batch.text import plural

_POLL_S = 1.0  # the clock is read this often: a suspended machine does not count


@contextmanager
def end_in_time(
    run: Run,
    *,
    abort: Callable[[], None],
    notify: Callable[[str], None],
    clock: Callable[[], float] = time.time,
) -> Iterator[None]:
    """Stop the run when its time is up; abort what is in flight after the grace time."""
    limit = limit_of(run)
    if limit is None:
        yield
        return
    ended = threading.Event()
    watching = threading.Thread(
        target=_watch, args=(run, limit, ended, abort, notify, clock), name="time limit", daemon=True
    )
    watching.start()
    try:
        yield
    finally:
        ended.set()


def limit_of(run: Run) -> TimeLimit | None:
    """Return the time limit of a run; None if it has none."""
    settings = run.plan.settings
    return time_limit(
        until=settings.until,
        max_time=settings.max_time,
        timezone=settings.timezone,
        started=run.started,
        grace=settings.grace,
        samples=run.plan.selected_samples,
    )


def _watch(
    run: Run,
    limit: TimeLimit,
    ended: threading.Event,
    abort: Callable[[], None],
    notify: Callable[[str], None],
    clock: Callable[[], float],
) -> None:
    while (left := limit.stop_at - clock()) > 0:
        if ended.wait(min(left, _POLL_S)):
            return
    if ended.is_set() or run.stop.is_set:
        return
    in_flight = run.in_flight
    run.stop.fail(
        StopRun(f"the time of {limit.option} is up; run the same command to continue", cause="time", exit_code=75)
    )
    waiting = f"waiting up to {limit.grace:g} s for {plural(in_flight, 'image')} in flight" if in_flight else "ending"
    notify(f"The time of {limit.option} is up: {waiting}.")
    if not ended.wait(limit.grace):
        abort()
