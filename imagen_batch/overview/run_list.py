"""Lists the run folders below a root from their summaries, without reading a ledger or a manifest.

A run that was killed leaves the summary of the run before it, or none. It is recognized by its `run.json`, which is
newer than the summary, or by its ledger; a run that is going on holds the folder's lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from imagen_batch.errors import SettingsInvalid
from imagen_batch.overview.read_run_files import amount_of, count_of, is_regular, moment_of, read_object
from imagen_batch.storage import LEDGER, STATE, is_url
from imagen_batch.storage.file_lock import is_file_locked
from imagen_batch.text import one_line

STATES: Final = (
    "running",
    "killed",
    "damaged",
    "finished",
    "unfinished",
    "budget",
    "paused",
    "stopped",
    "interrupted",
)
"""The states of runs. The first three are found out here; the others are those of summary.json."""

_DEPTH = 4
_SUMMARY = "summary.json"
_OUTCOMES = ("ok", "filtered", "failed", "unknown", "skipped_budget", "not_attempted")


@dataclass(frozen=True, slots=True)
class RunEntry:
    """What is known of the last run into a folder. None where it is not known."""

    folder: Path
    name: str  # the folder below the root
    state: str
    started_at: datetime | None
    finished_at: datetime | None
    samples: Mapping[str, int]  # asked and each outcome; empty without a summary
    cost_usd: float | None  # of the folder, by all its runs
    run_cost_usd: float | None  # of the last run
    provider: str | None
    exit_code: int | None

    @property
    def is_simulated(self) -> bool:
        """Whether the images are the simulator's, which cost nothing."""
        return self.provider == "simulator"


def list_runs(root: Path) -> list[RunEntry]:
    """Return all runs at most four folders below `root`, newest first. Links are not followed.

    Raises SettingsInvalid if `root` is no folder that can be read.
    """
    if is_url(str(root)) or not root.is_dir():
        raise SettingsInvalid(
            f"{root} is not a folder of this machine: give the folder that contains the run folders"
        )
    try:
        os.scandir(root).close()
    except OSError as error:
        raise SettingsInvalid(f"{root} can't be read: {error.strerror}") from error
    entries = [_read_run(folder, root) for folder in _run_folders(root, _DEPTH)]
    return sorted(entries, key=_newest_first)


def _newest_first(entry: RunEntry) -> tuple[float, str]:
    return (-entry.started_at.timestamp() if entry.started_at else 0.0, entry.name)


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    """Yield run folders. What is inside of one is not searched."""
    if _is_run(folder):
        yield folder
        return
    if depth == 0:
        return
    try:
        with os.scandir(folder) as entries:
            inner = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in inner:
        if name != STATE:
            yield from _run_folders(folder / name, depth - 1)


def _is_run(folder: Path) -> bool:
    state = folder / STATE
    return state.is_dir() and not state.is_symlink() and (is_regular(state / "lock") or (folder / LEDGER).is_dir())


def _read_run(folder: Path, root: Path) -> RunEntry:
    summary = read_object(folder / _SUMMARY)
    samples = _samples(summary or {})
    facts = summary if summary is not None and samples else {}
    finished = moment_of(facts.get("finished_at"))
    began = _began(folder, has_summary=bool(facts))
    state = _state(folder, facts, began, finished)
    is_current = state not in ("running", "killed")
    return RunEntry(
        folder=folder,
        name=str(folder.relative_to(root)) if folder != root else folder.absolute().name,
        state=state,
        # A repair writes a new summary, and began no run.
        started_at=began or (moment_of(facts.get("started_at")) if is_current else None),
        finished_at=finished if is_current else None,
        samples=samples,
        cost_usd=amount_of(facts.get("cost_usd")),
        run_cost_usd=amount_of(facts.get("run_cost_usd")) if is_current else None,
        provider=_word(facts.get("provider")),
        exit_code=count_of(facts.get("exit_code")) if is_current else None,
    )


def _state(folder: Path, summary: Mapping[str, Any], began: datetime | None, finished: datetime | None) -> str:
    if _is_locked(folder):
        return "running"
    if not summary:
        return "damaged" if os.path.lexists(folder / _SUMMARY) else "killed"
    if began is not None and finished is not None and began > finished:
        return "killed"
    state = summary.get("state")
    return state if isinstance(state, str) and state in STATES else "damaged"


def _is_locked(folder: Path) -> bool:
    lock = folder / STATE / "lock"
    try:
        return is_regular(lock) and is_file_locked(lock)
    except OSError:
        return False


def _began(folder: Path, *, has_summary: bool) -> datetime | None:
    """Return when the last run began. A repair and a review leave run.json alone, and are no runs."""
    record = read_object(folder / STATE / "run.json")
    moment = moment_of((record or {}).get("started_at"))
    if moment is not None or has_summary:
        return moment
    try:
        names = os.listdir(folder / LEDGER)  # noqa: PTH208 - only names are needed
    except OSError:
        return None
    moments = [moment for name in names if (moment := _moment_of_ledger(name)) is not None]
    return max(moments, default=None)


def _moment_of_ledger(name: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(float(name.partition("-")[0]), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _samples(summary: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts of a summary; nothing if one of them is missing or no count."""
    found = summary.get("samples")
    if not isinstance(found, dict):
        return {}
    counts = {name: count_of(found.get(name)) for name in ("asked", *_OUTCOMES)}
    return {name: count for name, count in counts.items() if count is not None} if None not in counts.values() else {}


def _word(value: object) -> str | None:
    return one_line(value, 40) if isinstance(value, str) else None
