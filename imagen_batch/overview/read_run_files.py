"""Reads the small files of a run's folder, whatever is in them."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

_MAX_BYTES = 16 * 2**20
_MAX_COUNT = 10**12
_MAX_USD = 10**9


def read_object(path: Path) -> Mapping[str, Any] | None:
    """Return the JSON object in a regular file; None for anything else. Never waits for a pipe."""
    try:
        value = orjson.loads(_read_regular(path))
    except (OSError, orjson.JSONDecodeError):
        return None
    return value if isinstance(value, dict) else None


def is_regular(path: Path) -> bool:
    """Whether there is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def count_of(value: object) -> int | None:
    """Return a count as a summary has it; None for anything else."""
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else None


def amount_of(value: object) -> float | None:
    """Return an amount of money as a summary has it; None for anything else."""
    if type(value) not in (int, float):
        return None
    amount = float(value)  # type: ignore[arg-type]
    return amount if math.isfinite(amount) and 0 <= amount <= _MAX_USD else None


def moment_of(value: object) -> datetime | None:
    """Return a time in UTC; None for anything else."""
    with suppress(ValueError, OverflowError):
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, float):
            return datetime.fromtimestamp(value, UTC)
    return None


def _read_regular(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MAX_BYTES:
            raise OSError("not a summary")
        return file.read(_MAX_BYTES)
