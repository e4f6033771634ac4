"""Handles Ctrl-C, SIGTERM and a lost terminal: no new attempts start, and those in flight get time to finish.

The handlers replace Prefect's own, which stop no thread. A second signal aborts what is in flight, but only when it
arrives at least a second after the first: `timeout`, supervisors and terminals deliver one stop both to the process
and to its group.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import NamedTuple

from imagen_batch.sending.stop import Stop
from imagen_batch.system.signal_handlers import signal_handlers

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SECOND_SIGNAL_AFTER_S = 1.0


class Arrival(NamedTuple):
    """A signal and when it came, in seconds on the monotonic clock."""

    number: int
    at: float


@contextmanager
def handle_signals(
    stop: Stop,
    *,
    grace: float,
    abort: Callable[[], None],
    announce: Callable[[int], None] = lambda _number: None,
) -> Iterator[None]:
    """Let signals set `stop`; after `grace` seconds, or at a second signal, call `abort` to end what is in flight.

    `announce` is called with the number of the first signal. Both are called in a separate thread, because the
    thread that a signal interrupts may hold any lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    arrivals: SimpleQueue[Arrival | None] = SimpleQueue()  # its put is reentrant, so that a handler may call it

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.interrupt(number)
        arrivals.put(Arrival(number, time.monotonic()))

    watching = threading.Thread(target=_watch, args=(arrivals, grace, abort, announce), name="signals", daemon=True)
    watching.start()
    try:
        with signal_handlers(_SIGNALS, on_signal):
            yield
    finally:
        arrivals.put(None)


def _watch(
    arrivals: SimpleQueue[Arrival | None], grace: float, abort: Callable[[], None], announce: Callable[[int], None]
) -> None:
    first = arrivals.get()
    if first is None:
        return
    announce(first.number)
    if _must_abort(arrivals, first, grace):
        abort()


def _must_abort(arrivals: SimpleQueue[Arrival | None], first: Arrival, grace: float) -> bool:
    """Wait for the end of the grace time or a second signal; False when the run ends before."""
    while (remaining_s := first.at + grace - time.monotonic()) > 0:
        try:
            arrival = arrivals.get(timeout=remaining_s)
        except Empty:
            return True
        if arrival is None:
            return False
        if arrival.at - first.at >= _SECOND_SIGNAL_AFTER_S:
            return True
    return True
