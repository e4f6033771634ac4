"""Locks a run in an object store, where no operating system releases the lock of a dead process.

The lock is an object that its holder rewrites every few seconds. A lock that stays the same for half a minute has no
holder any more; one whose process ran on this machine and has ended is free at once. A process that lost the lock, or
could not renew it in time, writes nothing more.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import orjson

from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.storage.interface import STATE
from imagen_batch.system.streams import print_message

NAME = f"{STATE}/lock"
_RENEW_EVERY_S = 5.0
_DEAD_AFTER_S = 30.0
_MARGIN_S = 5.0  # the holder counts its lock as lost this long before others may take it
_REPORT_AFTER_S = 5.0
_SETTLE_S = 2.0  # when two processes take over a dead lock together, the later one has it by then


class Objects(Protocol):
    """The operations of an object store that a lease needs."""

    location: str

    def read(self, name: str) -> bytes: ...
    def put_once(self, name: str, data: bytes) -> None: ...
    def create(self, name: str, data: bytes) -> bool: ...
    def remove(self, name: str) -> None: ...


def _uptime() -> float:
    """Return a clock that includes sleep: while a laptop sleeps, its lock is not renewed."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Lease:
    """A lock for one holder."""

    def __init__(
        self,
        objects: Objects,
        *,
        dead_after: float = _DEAD_AFTER_S,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        uptime: Callable[[], float] = _uptime,
        report: Callable[[str], None] = print_message,
    ) -> None:
        self._objects = objects
        self._report = report
        self._dead_after = dead_after
        self._sleep = sleep
        self._clock = clock
        self._uptime = uptime
        self._lost: str | None = None
        self._renewed = uptime()
        self._released = threading.Event()
        self._note = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "where": _boot_and_namespace(),
            "token": uuid.uuid4().hex,
        }

    @property
    def lost(self) -> str | None:
        """Why the lock is no longer ours; None while it is. The clock decides, even if the renewing thread hangs."""
        if self._lost is None and self._uptime() - self._renewed > self._dead_after - _MARGIN_S:
            self._lost = "the lock could not be renewed in time"
        return self._lost

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock.

        Raises FolderBusy, which names the holder, and SettingsInvalid where the store does not support locks.
        """
        try:
            self._take()
        except BaseException:
            self._release()
            raise
        renewing = threading.Thread(target=self._renew_until_released, name="lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._released.set()
            renewing.join(_MARGIN_S)
            if self.lost is None:
                self._release()

    def is_held(self) -> bool:
        """Whether a process renewed the lock recently, by the clocks of both machines."""
        note = self._read()
        return note is not None and not _has_ended(note) and self._clock() - note.get("at", 0.0) < self._dead_after

    def _take(self) -> None:
        if not self._objects.create(NAME, self._content()):
            note = self._read()
            if not self._is_ours(note):  # it is ours where only the reply was lost
                self._take_over(note)
        self._renewed = self._uptime()
        if self._objects.create(NAME, self._content()):
            raise SettingsInvalid(
                f"--out {self._objects.location}: this store ignores conditional writes (If-None-Match) and "
                "overwrites existing objects, so two runs at once would damage each other's files"
            )

    def _take_over(self, note: dict[str, Any] | None) -> None:
        """Wait until the holder is dead, then take its lock unless another process did so at the same time."""
        self._wait_for_holder(note)
        self._objects.remove(NAME)
        if self._objects.create(NAME, self._content()) or self._is_ours(self._read()):
            self._sleep(_SETTLE_S)
        current = self._read()
        if not self._is_ours(current):
            raise FolderBusy(self._busy_message(current))

    def _release(self) -> None:
        """Delete the lock if it is ours."""
        with suppress(OSError):  # a lock that remains expires in half a minute
            if self._is_ours(self._read()):
                self._objects.remove(NAME)

    def _is_ours(self, note: dict[str, Any] | None) -> bool:
        return note is not None and note.get("token") == self._note["token"]

    def _wait_for_holder(self, note: dict[str, Any] | None) -> None:
        """Return once the holder must be dead; raise FolderBusy when it renews the lock."""
        waited = 0.0
        while note is not None and not _has_ended(note) and waited < self._dead_after:
            if _is_local(note) and self._clock() - note.get("at", 0.0) < self._dead_after:
                # The process is alive. An older note may be of an earlier process with the same number.
                raise FolderBusy(self._busy_message(note))
            self._sleep(1.0)
            waited += 1.0
            if waited == _REPORT_AFTER_S:
                self._report(
                    f"waiting for the lock of {self._objects.location}{_holder(note)}, which may belong to a run "
                    f"that was killed; it is taken over if it is not renewed within {self._dead_after:.0f} s"
                )
            current = self._read()
            if current is not None and current != note:
                raise FolderBusy(self._busy_message(current))
            note = current

    def _renew_until_released(self) -> None:
        while self.lost is None and not self._released.wait(_RENEW_EVERY_S):
            with suppress(OSError):
                self._renew()

    def _renew(self) -> None:
        began = self._uptime()
        note = self._read()
        if not self._is_ours(note):
            self._lost = "another run has taken the folder"
        elif self.lost is None:  # the store may have answered late, and another process may have the lock by now
            self._objects.put_once(NAME, self._content())
            self._renewed = began

    def _content(self) -> bytes:
        return orjson.dumps({**self._note, "at": self._clock()})

    def _read(self) -> dict[str, Any] | None:
        with suppress(FileNotFoundError, orjson.JSONDecodeError):
            note = orjson.loads(self._objects.read(NAME))
            if not isinstance(note, dict):
                return {}
            return note if isinstance(note.get("at", 0.0), int | float) else {**note, "at": 0.0}
        return None

    def _busy_message(self, note: dict[str, Any] | None) -> str:
        location = self._objects.location
        return f"another run is using {location}{_holder(note)}; wait for it or choose another --out"


def _holder(note: dict[str, Any] | None) -> str:
    return f" (process {note.get('pid')} on {note.get('host')})" if note else ""


def _boot_and_namespace() -> str:
    """Identify this machine, boot and process namespace, within which a process number is unique."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [
            Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(parts)


def _is_local(note: dict[str, Any]) -> bool:
    return bool(note.get("where") == _boot_and_namespace())


def _has_ended(note: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    if not _is_local(note):
        return False
    pid = note.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # another user's process, so it exists
        return False
    return False
