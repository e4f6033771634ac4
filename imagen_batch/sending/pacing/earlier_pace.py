"""Stores the pace that a service allowed in earlier runs, so that the next run starts with it.

The file is a cache in the user's state folder: nothing depends on it, a damaged or old one counts as empty, and its
figures are only where a pace starts. It holds hosts, projects and models, and nothing of a key.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from imagen_batch.settings import Settings
from imagen_batch.system.user_state import state_folder
from imagen_batch.text import span

_FILE = "pace.json"
_MAX_AGE_S = 7 * 24 * 3600.0
_MAX_BYTES = 2**17
_MAX_ENTRIES = 100
_MAX_PER_MINUTE = 100_000.0
_MAX_IN_FLIGHT = 10_000


@dataclass(frozen=True, slots=True)
class EarlierPace:
    """The pace that a model allowed: a rate, or `in_flight` attempts at once without a refusal."""

    per_minute: float | None
    in_flight: int
    at: float  # seconds since the epoch

    def describe(self, now: float) -> str:
        """Describe the pace for people, with its age."""
        ago = f"{span(max(1.0, now - self.at))} ago"
        if self.per_minute is None:
            return f"starts with up to {self.in_flight} requests at once, as a run {ago} could without a refusal"
        return f"starts at {round(self.per_minute):,} requests a minute, the rate that a run found {ago}"


class EarlierPaces:
    """The paces of one account at one service. With `file` None nothing is stored."""

    def __init__(self, file: Path | None, account: str, *, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._account = account
        self._clock = clock

    def of(self, model: str) -> EarlierPace | None:
        """Return the stored pace of a model."""
        return self._read().get(self._name(model)) if self._file else None

    def record(self, paces: Mapping[str, EarlierPace | None]) -> None:
        """Store paces by model, with the current time; None deletes one. A failure is ignored."""
        if self._file is None or not paces:
            return
        entries, now = self._read(), self._clock()
        for model, pace in paces.items():
            entries.pop(self._name(model), None)
            if pace is not None:
                entries[self._name(model)] = replace(pace, at=now)
        with suppress(OSError):
            _write(self._file, dict(list(entries.items())[-_MAX_ENTRIES:]))

    def _name(self, model: str) -> str:
        return f"{self._account} {model}"

    def _read(self) -> dict[str, EarlierPace]:
        """Return the entries that are sound and not too old."""
        now = self._clock()
        try:
            assert self._file is not None
            if not self._file.is_file() or self._file.stat().st_size > _MAX_BYTES:
                return {}
            entries = msgspec.json.decode(self._file.read_bytes(), type=dict[str, EarlierPace])
        except (OSError, ValueError, RecursionError):
            return {}
        return {name: pace for name, pace in entries.items() if _is_sound(pace, now)}


def earlier_paces(settings: Settings, env: Mapping[str, str]) -> EarlierPaces:
    """Return the paces of the account that a run with these settings uses.

    A simulator that a run starts for itself is a new service each time. With a given rate nothing is stored.
    """
    folder = state_folder(env)
    if folder is None or settings.has_own_simulator or settings.requests_per_minute is not None:
        return EarlierPaces(None, "")
    parts = [settings.provider, settings.base_url or ""]
    if settings.provider == "vertex":
        parts += [
            settings.project or env.get("GOOGLE_CLOUD_PROJECT", ""),
            settings.location or env.get("GOOGLE_CLOUD_LOCATION", ""),
        ]
    return EarlierPaces(folder / _FILE, " ".join(parts))


def _is_sound(pace: EarlierPace, now: float) -> bool:
    rate = pace.per_minute
    return (
        -_MAX_AGE_S < pace.at - now <= 0.0
        and 1 <= pace.in_flight <= _MAX_IN_FLIGHT
        and (rate is None or 1.0 <= rate <= _MAX_PER_MINUTE)
    )


def _write(file: Path, entries: Mapping[str, EarlierPace]) -> None:
    """Replace the file atomically, readable for the user alone."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{_FILE}.")
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(msgspec.json.encode({key: asdict(pace) for key, pace in entries.items()}))
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
