"""Keeps what Prefect has not recorded yet, in files of PREFECT_HOME, until a server of a run is up.

A run that ends before its server is up leaves its snapshot here. The server's process records it when the run is
gone; if that process is killed, too, the next one does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from imagen_batch.orchestration.recording.flow_run import FlowRunRecord
from imagen_batch.orchestration.recording.prefect_api import PrefectApi, Refused
from imagen_batch.orchestration.recording.run_snapshot import RunSnapshot
from imagen_batch.system.file_lock import hold_file_lock

_FOLDER = "imagen-batch-unrecorded"
_MAX_FILES = 100  # if no server ever starts


def keep_unrecorded(home: Path, snapshot: RunSnapshot) -> Path | None:
    """Store a snapshot; return its file. None where that is impossible, which does not matter to a run."""
    folder = home / _FOLDER
    path = folder / f"{snapshot.key}.json"
    part = path.with_suffix(".part")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        part.write_text(snapshot.to_json(), encoding="utf-8")
        part.replace(path)
        for old in _files(folder)[:-_MAX_FILES]:
            old.unlink(missing_ok=True)
    except OSError:
        return None
    return path


def record_unrecorded(home: Path, url: str) -> None:
    """Record all snapshots, unless another process is doing so. Raises Unavailable if the server stops answering."""
    folder = home / _FOLDER
    while _files(folder):
        with _hold_recorder_lock(home) as is_held:
            if not is_held:
                return
            for path in _files(folder):
                _record(path, url)
        # A run may have stored a snapshot after the files were listed, while this process held the lock.


def _record(path: Path, url: str) -> None:
    with suppress(ValueError, TypeError, KeyError, Refused, OSError):  # not a snapshot, or one that no server takes
        snapshot = RunSnapshot.from_json(path.read_text(encoding="utf-8"))
        FlowRunRecord(PrefectApi(url)).close(snapshot)
    path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    with suppress(OSError):
        dated = [(entry.stat().st_mtime, entry.path) for entry in os.scandir(folder) if entry.name.endswith(".json")]
        return [Path(path) for _, path in sorted(dated)]
    return []


@contextmanager
def _hold_recorder_lock(home: Path) -> Iterator[bool]:
    with hold_file_lock(home / "imagen-batch-recorder.lock", patience=0.0) as is_held:
        yield is_held
