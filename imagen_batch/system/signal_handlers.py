"""Installs a handler for signals for the duration of a block."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def signal_handlers(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `handler` for these signals, and restore the previous handlers at the end.

    A signal that nohup or a shell has disabled stays disabled. Outside the main thread, the only one that may handle
    signals, nothing is installed.
    """
    is_main = threading.current_thread() is threading.main_thread()
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN] if is_main else []
    before = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
