"""Finds the processes that a command of a test has started, and no others."""

from __future__ import annotations

from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Return the live processes below `pid`."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # the process has just ended
            continue
        if fields[0] != "Z":
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: set[int] = set()
    pending = [pid]
    while pending:
        children = parents.get(pending.pop(), [])
        found.update(children)
        pending += children
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process is running."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z"


def command_line(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def server_of(pid: int) -> int | None:
    """Return the Prefect server that `pid` has started; None if there is none."""
    return next(
        (
            child
            for child in descendants(pid)
            if "imagen_batch.orchestration.server.own_server" in command_line(child)
        ),
        None,
    )
