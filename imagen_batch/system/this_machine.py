"""Checks whether a process that wrote a file ran on this machine, also after a restart or in another container."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def describe_machine() -> dict[str, str]:
    """Return the name of this machine, and the id of its kernel since the last start."""
    boot = ""
    with suppress(OSError):
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    return {"host": socket.gethostname(), "boot": boot}


def is_this_machine(described: object) -> bool:
    """Whether `describe_machine` returned this here: containers share the kernel, a restart keeps the name."""
    if not isinstance(described, dict):
        return False
    return any(described.get(name) == value for name, value in describe_machine().items() if value)
