"""Finds the name of this machine's time zone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo


def local_timezone(env: Mapping[str, str] = os.environ, link: Path = Path("/etc/localtime")) -> str:
    """Return the IANA name of the local time zone; UTC where it has none."""
    target = str(link.resolve()).partition("zoneinfo/")[2]
    for name in filter(None, (env.get("TZ", "").removeprefix(":"), target)):
        try:
            return ZoneInfo(name).key
        except (KeyError, ValueError, OSError):
            continue
    return "UTC"
