"""Keeps the logs of Prefect and of a run's own server from growing without bound.

Several processes may append to the same file, and keep it open: it is emptied in place, after its end was copied.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

LOG: Final = "imagen-batch-server.log"
MAX_BYTES: Final = 5 * 2**20
KEPT_BYTES: Final = 2**20


def bound_log_size(log: Path) -> None:
    """Empty a log that has become too long. Its last part stays, as NAME.1, in place of an earlier one."""
    with suppress(OSError):
        if log.stat().st_size <= MAX_BYTES:
            return
        with suppress(OSError):  # on a full disk nothing is kept
            log.with_name(f"{log.name}.1").write_bytes(_end_of(log))
        os.truncate(log, 0)


def _end_of(log: Path) -> bytes:
    with log.open("rb") as file:
        file.seek(-KEPT_BYTES, os.SEEK_END)
        return file.read(KEPT_BYTES).partition(b"\n")[2]
