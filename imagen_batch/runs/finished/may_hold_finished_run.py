"""Checks whether a folder may hold the record of a finished run; `recognize_unchanged_run.py` reads and writes it."""

from __future__ import annotations

import os
from typing import Final

from imagen_batch.storage import STATE, is_url

RECORD: Final = f"{STATE}/current.json"


def may_hold_finished_run(location: str) -> bool:
    """Whether a run into this folder or URL may have nothing to do."""
    return is_url(location) or os.path.exists(f"{location}/{RECORD}")  # noqa: PTH110 - False for impossible names too
