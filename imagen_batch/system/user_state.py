"""Finds the folder for what one user's runs remember from each other; nothing in it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def state_folder(env: Mapping[str, str]) -> Path | None:
    """Return the folder, which may not exist; None where the environment names no home."""
    named, home = env.get("XDG_STATE_HOME", ""), env.get("HOME") or env.get("USERPROFILE") or ""
    base = Path(named) if named.startswith("/") else Path(home, ".local", "state") if home else None
    return base / "imagen-batch" if base is not None else None
