"""Marks flow runs as crashed whose processes were killed, so that none stays RUNNING for ever.

Each process that makes a flow run locks a file in PREFECT_HOME. The lock ends with the process, however that ends, so
an unlocked file belongs to a run that is gone. A file names its machine and its Prefect server; those of other
machines, which may share the folder, and of other servers are left alone.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

from imagen_batch.orchestration.recording.prefect_api import Refused
from imagen_batch.system.this_machine import describe_machine, is_this_machine

OWN_SERVER = ""
"""Names the server that a run starts itself: its database is in PREFECT_HOME, and its address changes."""

_FOLDER = "imagen-batch-running"
_UNFINISHED = {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}
_MESSAGE = "The process of this run is gone. Images that it had received are kept: the next run continues."
_NAMES = {"id", "idempotency_key"}
_MAX_BYTES = 100_000
_MAX_RUNS, _MAX_SHARDS = 50, 200
_KEEP_S = 90 * 86_400.0  # for a server that is not used again


class FlowRuns(Protocol):
    """The part of Prefect's API that is used here."""

    def post(self, path: str, body: Any) -> Any:
        """Call the API and return its reply."""


class RunningMark:
    """The file of a flow run that this process makes. It stays locked until `remove`, or until the process ends.

    `selection` is a filter of Prefect's API that finds the flow run.
    """

    def __init__(self, home: Path, *, server: str, selection: Mapping[str, Any]) -> None:
        folder = home / _FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{uuid.uuid4().hex}.json"
        part = self._path.with_suffix(".part")
        self._file: IO[bytes] = part.open("xb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        facts = {"machine": describe_machine(), "server": server, "selection": dict(selection)}
        self._file.write(json.dumps(facts).encode())
        part.replace(self._path)  # found by others only now, when it is locked and whole

    def remove(self) -> None:
        """Remove the file: the end of the flow run is recorded, or will be."""
        with suppress(OSError):
            self._path.unlink()
        self._file.close()


def mark_running(home: Path, *, server: str, selection: Mapping[str, Any]) -> RunningMark | None:
    """Mark a flow run as one of this process; None where no file can be written, which does not matter to a run."""
    with suppress(OSError):
        return RunningMark(home, server=server, selection=selection)
    return None


def end_killed_runs(home: Path, *, server: str, api: FlowRuns, now: float | None = None) -> int:
    """Mark the flow runs on `server` as crashed whose processes on this machine are gone; return how many.

    Raises Unavailable if the server stops answering; the next call continues.
    """
    oldest = (time.time() if now is None else now) - _KEEP_S
    ended = 0
    for path in sorted((home / _FOLDER).glob("*.json")):
        with suppress(OSError, Refused, TypeError, KeyError), _free_mark(path) as mark:
            if mark is None:
                continue
            if mark.get("server") == server and is_this_machine(mark.get("machine")):
                ended += _end_flow_runs(mark["selection"], api)
            elif path.stat().st_mtime > oldest:
                continue
            path.unlink()
    return ended


@contextmanager
def _free_mark(path: Path) -> Iterator[dict[str, Any] | None]:
    """Hold the lock of a file and yield what it says; None while its process is alive. Raises OSError."""
    with open(path, "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            yield None
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        was_removed = os.fstat(file.fileno()).st_nlink == 0  # by its process, at the end of the run
        yield None if was_removed else _parse(file.read(_MAX_BYTES))


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file, or a pipe in its place without waiting for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _parse(content: bytes) -> dict[str, Any]:
    """Read what a mark says; a file that is no mark says nothing and is removed when it is old."""
    with suppress(ValueError, RecursionError):
        facts = json.loads(content)
        if isinstance(facts, dict) and _selects_one_run(facts.get("selection")):
            return facts
    return {}


def _selects_one_run(selection: Any) -> bool:
    """Whether a filter names a flow run: an empty one would select all that are running."""
    if not isinstance(selection, dict) or len(selection) != 1:
        return False
    name, chosen = next(iter(selection.items()))
    values = chosen.get("any_") if isinstance(chosen, dict) else None
    return name in _NAMES and isinstance(values, list) and len(values) == 1 and isinstance(values[0], str)


def _end_flow_runs(selection: Mapping[str, Any], api: FlowRuns) -> int:
    chosen = {"flow_runs": {**selection, **_UNFINISHED}, "limit": _MAX_RUNS}
    runs = [str(run["id"]) for run in api.post("/flow_runs/filter", chosen)]
    for run in runs:
        shards = {"flow_runs": {"id": {"any_": [run]}}, "task_runs": _UNFINISHED, "limit": _MAX_SHARDS}
        for shard in api.post("/task_runs/filter", shards):
            _set_crashed(f"/task_runs/{shard['id']}", api)
        _set_crashed(f"/flow_runs/{run}", api)
    return len(runs)


def _set_crashed(path: str, api: FlowRuns) -> None:
    state = {"type": "CRASHED", "name": "Crashed", "message": _MESSAGE}
    api.post(f"{path}/set_state", {"state": state, "force": True})
