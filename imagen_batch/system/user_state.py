"""Finds the folder in which a user's runs store hints for later runs. A run works without them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def state_folder(env: Mapping[str, str]) -> Path | None:
    """Return the folder, which may not exist; None where the environment names no home."""
    named, home = env.get("XDG_STATE_HOME", ""), env.get("HOME") or env.get("USERPROFILE") or ""
    base = Path(named) if named.startswith("/") else Path(home, ".local", "state") if home else None
    return base / "imagen-batch" if base is not None else None
