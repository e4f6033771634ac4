"""Reads a long ledger in a second process while the input is read.

That process uses another core and starts before the run's lock is taken. Records that are added in between are read
once the lock is held, since reading a ledger continues where it stopped.
"""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.ledger.files import ledger_files
from imagen_batch.ledger.history import History, read_history
from imagen_batch.storage import LEDGER, is_url
from imagen_batch.system.child_env import reduced_environment

if TYPE_CHECKING:
    from concurrent.futures import Future

_MIN_BYTES = 64 * 2**20  # a shorter ledger is read in less time than it takes to start the process


def preload_history(location: str) -> Future[History] | None:
    """Start to read the history of the run at `location`; None where reading it later is as fast.

    The process ends by itself. A ledger in a bucket has to be fetched first, and is read then.
    """
    if is_url(location):
        return None
    ledger = Path(location) / LEDGER
    if sum(path.stat().st_size for path in ledger_files(ledger)) < _MIN_BYTES:
        return None
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415 - only for a long ledger
    from multiprocessing import get_context  # noqa: PLC0415

    ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)  # the run handles Ctrl-C
    process = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=ignore)
    with reduced_environment():  # this starts the process, which needs no API key
        reading = process.submit(read_history, ledger)
    process.shutdown(wait=False)
    return reading
