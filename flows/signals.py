"""What do Ctrl-C, SIGTERM and a lost terminal do? They stop new attempts; what is under way may finish for a while.

Installed inside the flow, over Prefect's own handlers: Prefect stops no thread. A second signal ends at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from imagen_batch.stopping import Stop

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stopping_on_signals(stop: Stop, *, grace: float, cut: Callable[[], None]) -> Iterator[None]:
    """Let signals set `stop`; after `grace` seconds, or at a second signal, `cut` ends what is under way."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    timer = threading.Timer(grace, cut)
    timer.daemon = True
    came: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            stop.for_signal(number)
            timer.start()
        elif len(came) == 2:  # not here: cutting takes locks that the main thread may hold
            threading.Thread(target=cut, daemon=True).start()

    heard = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # nohup stays so
    before = {number: signal.signal(number, on_signal) for number in heard}
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
