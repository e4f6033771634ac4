"""Ends the process of a stopped flow run by the signal that stopped it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

_LOGS_S = 5.0  # for the last lines of the log


def end_by_signal(number: int, *, log: Callable[[str], None], message: str) -> None:
    """End this process by the signal that stopped its run, now that everything is written.

    A run that was canceled in Prefect is then shown as canceled. Any state that the flow itself returned would be
    shown as an error, or hide the cancellation.
    """
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415 - imports Prefect

    log(message)
    APILogWorker.drain_all(timeout=_LOGS_S)
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
