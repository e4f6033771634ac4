"""How is a long past read while the input is read?

In a process of its own, on another core, and before the run's lock is taken: what comes to the ledger in between is
read when the lock is held, since reading a ledger goes on where it ended.
"""

from __future__ import annotations

import signal
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.reader import ledger_files
from imagen_batch.storage import LEDGER, is_url
from imagen_batch.system.child_env import reduced_environment

_WORTH_IT = 64 * 2**20  # bytes of ledger: read as quickly as such a process starts


def preload_history(place: str) -> Future[History] | None:
    """The history of the run at `place` as it is now; None where it is as quickly read later.

    The process ends by itself. What lies in a bucket has to be fetched first, and is read then.
    """
    if is_url(place):
        return None
    ledger = Path(place) / LEDGER
    if sum(path.stat().st_size for path in ledger_files(ledger)) < _WORTH_IT:
        return None
    ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run to answer
    process = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=ignore)
    with reduced_environment():  # the process is started here, and needs no key
        reading = process.submit(read_history, ledger)
    process.shutdown(wait=False)
    return reading
