"""Which processes a command of a test has started, and no other test's or program's."""

from __future__ import annotations

from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Live processes below `pid`."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if fields[0] != "Z":
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found: set[int] = set()
    left = [pid]
    while left:
        below = parents.get(left.pop(), [])
        found.update(below)
        left += below
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] != "Z"


def command_line(pid: int) -> str:
    """How a process was started; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def server_of(pid: int) -> int | None:
    """The Prefect server that `pid` has started."""
    return next(
        (child for child in descendants(pid) if "imagen_batch.orchestration.prefect_server" in command_line(child)),
        None,
    )
