"""Finds the folder whose runs share the money of a period, and locks it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imagen_batch.errors import SettingsInvalid
from imagen_batch.sending.period.spending_below_root import BUDGET_FOLDER
from imagen_batch.settings import Settings
from imagen_batch.storage import is_url
from imagen_batch.system.file_lock import hold_file_lock

LOCK = "lock"
_PATIENCE_S = 60.0


def find_root(settings: Settings) -> tuple[Path, str]:
    """Return the root, and this run's folder relative to it. Raises SettingsInvalid for a run outside of it."""
    if is_url(settings.folder) or is_url(settings.budget_root or ""):
        raise SettingsInvalid(
            "--max-cost-per adds up runs in folders of this machine, and this run is in a bucket: use --max-cost "
            "and --max-cost-per-run"
        )
    folder = Path(os.path.abspath(settings.folder))  # noqa: PTH100 - links are kept as the user made them
    root = Path(os.path.abspath(settings.budget_root or folder.parent))  # noqa: PTH100
    if root != folder and root not in folder.parents:
        raise SettingsInvalid(
            f"--max-cost-per adds up the runs below {root}, and {settings.folder} is not there: give their common "
            "folder with --budget-root DIR"
        )
    return root, os.path.relpath(folder, root)


@contextmanager
def hold_root(root: Path) -> Iterator[None]:
    """Keep other processes from changing reservations. Raises SettingsInvalid while another one does for too long."""
    with hold_file_lock(root / BUDGET_FOLDER / LOCK, patience=_PATIENCE_S) as held:
        if not held:
            raise SettingsInvalid(f"--max-cost-per: another run has held {root / BUDGET_FOLDER} for a minute")
        yield
