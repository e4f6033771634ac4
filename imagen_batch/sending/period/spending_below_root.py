"""Adds up what all runs below a root charged, by the hour.

A ledger is read again only when its files have changed; the sums of the others come from a cache below the root.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from imagen_batch.errors import LedgerDamaged, SettingsInvalid
from imagen_batch.ledger.files import require_folder
from imagen_batch.sending.period.hourly_charges import Hours, charges_by_hour
from imagen_batch.storage import LEDGER, STATE

BUDGET_FOLDER: Final = ".imagen-batch-budget"
_CACHE: Final = "spending.json"
_INSIDE_A_RUN: Final = frozenset({"images", "export"})


class _Run(msgspec.Struct):
    files: list[tuple[str, int]]  # names and sizes of its ledger
    hours: Hours


class _Cache(msgspec.Struct):
    version: int
    runs: dict[str, _Run]


class Spending:
    """What the runs below `root` charged. Another process may write the same cache; the last one counts.

    Unless `keep` is set the cache is only read.
    """

    def __init__(self, root: Path, *, keep: bool = True) -> None:
        self._root = root
        self._keep = keep
        self._cache = _read_cache(root / BUDGET_FOLDER / _CACHE)

    def by_run(self) -> dict[str, Hours]:
        """Return the charges of every run by its folder below the root. Raises SettingsInvalid for a bad ledger."""
        runs, changed = {}, False
        for folder in run_folders(self._root):
            name = os.path.relpath(folder, self._root)
            with _reading(folder):
                files = _ledger_state(folder / LEDGER)
                known = self._cache.get(name)
                if known is None or known.files != files:
                    known, changed = _Run(files, charges_by_hour(folder / LEDGER)), True
            runs[name] = known
        for name in self._cache.keys() - runs.keys():
            _refuse_dangling_link(self._root, name)
        if self._keep and (changed or runs.keys() != self._cache.keys()):
            _write_cache(self._root / BUDGET_FOLDER / _CACHE, runs)
        self._cache = runs
        return {name: run.hours for name, run in runs.items()}


def run_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of runs below `root`, and `root` itself if it is one. Links are followed, none twice.

    The state of a run is yielded also where it is a link to a folder that is not there.
    """
    seen: set[tuple[int, int]] = set()
    for path, folders, files in os.walk(root, followlinks=True, onerror=_raise):
        facts = os.stat(path)  # noqa: PTH116 - a path as text
        if (facts.st_dev, facts.st_ino) in seen:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        is_run = STATE in folders or STATE in files
        skipped = _INSIDE_A_RUN if is_run else frozenset()
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in skipped)
        if is_run:
            yield Path(path)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a folder that was just removed
        raise error


def _refuse_dangling_link(root: Path, name: str) -> None:
    """Raise SettingsInvalid for a run that was counted before and is behind a link to nothing now."""
    for path in (root / name, *(root / name).parents):
        if path == root:
            return
        if path.is_symlink() and not path.exists():
            raise SettingsInvalid(
                f"--max-cost-per: what the run in {root / name} charged can't be read: {path} is a link to a folder "
                "that is not there. Nothing was sent. Restore that, or remove the link to count that run no more"
            )


def _ledger_state(ledger: Path) -> list[tuple[str, int]]:
    """Return names and sizes of the ledger's files. Raises SettingsInvalid or OSError where they can't be read."""
    require_folder(ledger)
    if ledger.parent.is_dir() and not os.path.lexists(ledger):  # the run has sent nothing yet
        return []
    files = []
    for path, _, names in os.walk(ledger, onerror=_raise_any):
        files += [(name, (Path(path) / name).stat().st_size) for name in names if name.endswith(".jsonl")]
    return sorted(files)


def _raise_any(error: OSError) -> None:
    raise error


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Refuse to count a run whose charges are not known."""
    cause = f"--max-cost-per: what the run in {folder} charged can't be read"
    try:
        yield
    except LedgerDamaged as damage:
        remedy = f"Move that folder out of the root, or repair it: {damage.repair_command}"
        raise SettingsInvalid(f"{cause}: {damage.description}. Nothing was sent. {remedy}") from damage
    except (SettingsInvalid, OSError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.strerror else error
        remedy = "Restore that, or move the folder out of the root"
        raise SettingsInvalid(f"{cause}: {reason}. Nothing was sent. {remedy}") from error


def _read_cache(path: Path) -> dict[str, _Run]:
    with suppress(OSError, ValueError, RecursionError):
        cache = msgspec.json.decode(path.read_bytes(), type=_Cache)
        if cache.version == 1:
            return cache.runs
    return {}


def _write_cache(path: Path, runs: dict[str, _Run]) -> None:
    """Write the cache whole or not at all. Without it the next sum takes longer."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with suppress(OSError):
        part.write_bytes(msgspec.json.encode(_Cache(1, runs)))
        part.replace(path)
