"""Ctrl-C, SIGTERM and a lost terminal stop new attempts; those in flight get some time to finish.

Installed inside the flow, over Prefect's own handlers: Prefect stops no thread. A second signal ends what is in
flight at once, but only when it comes a second after the first: `timeout`, supervisors and terminals deliver one
stop to the process and to its group, which is not impatience.
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

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_IMPATIENT_AFTER_S = 1.0


class Arrival(NamedTuple):
    """A signal and when it came, in seconds on the monotonic clock."""

    number: int
    at: float


@contextmanager
def handle_signals(
    stop: Stop,
    *,
    grace: float,
    cut: Callable[[], None],
    record_sent: Callable[[int], None] = lambda _number: None,
) -> Iterator[None]:
    """Let signals set `stop`; after `grace` seconds, or at a second signal, `cut` ends what is in flight.

    `announce` hears the number of the first signal. Both are called in a thread of their own: the thread that a
    signal interrupts may hold any lock.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    arrivals: SimpleQueue[Arrival | None] = SimpleQueue()  # its put may interrupt itself: a handler may call it

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.interrupt(number)
        arrivals.put(Arrival(number, time.monotonic()))

    watching = threading.Thread(target=_watch, args=(arrivals, grace, cut, record_sent), name="signals", daemon=True)
    watching.start()
    # A signal that nohup or a shell switched off stays off.
    handled = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        arrivals.put(None)


def _watch(
    arrivals: SimpleQueue[Arrival | None], grace: float, cut: Callable[[], None], record_sent: Callable[[int], None]
) -> None:
    first = arrivals.get()
    if first is None:
        return
    record_sent(first.number)
    if _to_be_cut(arrivals, first, grace):
        cut()


def _to_be_cut(arrivals: SimpleQueue[Arrival | None], first: Arrival, grace: float) -> bool:
    """Wait for the end of the grace time or an impatient signal; False when the run ends before."""
    while (left := first.at + grace - time.monotonic()) > 0:
        try:
            arrival = arrivals.get(timeout=left)
        except Empty:
            return True
        if arrival is None:
            return False
        if arrival.at - first.at >= _IMPATIENT_AFTER_S:
            return True
    return True
