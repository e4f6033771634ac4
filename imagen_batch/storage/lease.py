"""Who holds the lock of a run in an object store, where no operating system frees it?

The lock is an object that its holder writes anew every few seconds. One that stays the same for half a minute is
nobody's any more, at once where its process was on this machine and is gone. Whoever finds the lock in other
hands, or could not renew it in time, writes nothing more.
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
from imagen_batch.storage.base import STATE
from imagen_batch.system.streams import say

NAME = f"{STATE}/lock"
_RENEW_EVERY_S = 5.0
_DEAD_AFTER_S = 30.0
_MARGIN_S = 5.0  # who has not renewed it for so much less knows that others will soon take it
_TELL_AFTER_S = 5.0
_SETTLE_S = 2.0  # of two that found it dead together the later one has it by then


class Objects(Protocol):
    """What a bucket has to offer for this."""

    place: str

    def read(self, name: str) -> bytes: ...
    def put_once(self, name: str, data: bytes) -> None: ...
    def create(self, name: str, data: bytes) -> bool: ...
    def remove(self, name: str) -> None: ...


def _uptime() -> float:
    """Seconds that go on while the machine sleeps: a lid that was closed is a lock that was not renewed."""
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
        tell: Callable[[str], None] = say,
    ) -> None:
        self._objects = objects
        self._tell = tell
        self._dead_after = dead_after
        self._sleep = sleep
        self._clock = clock
        self._uptime = uptime
        self._taken_away: str | None = None
        self._renewed = uptime()
        self._over = threading.Event()
        self._note = {"pid": os.getpid(), "host": socket.gethostname(), "where": _where(), "token": uuid.uuid4().hex}

    @property
    def lost(self) -> str | None:
        """Why the lock is not ours any more; None while it is. The clock tells, whatever the thread does."""
        if self._taken_away is None and self._uptime() - self._renewed > self._dead_after - _MARGIN_S:
            self._taken_away = "the lock could not be renewed in time"
        return self._taken_away

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock.

        Raises FolderBusy, which names who holds it, and SettingsInvalid where the store can't keep one.
        """
        try:
            self._take()
        except BaseException:
            self._release()
            raise
        renewing = threading.Thread(target=self._renew_until_over, name="lease", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._over.set()
            renewing.join(_MARGIN_S)
            if self.lost is None:
                self._release()

    def is_held(self) -> bool:
        """Whether somebody renewed it lately, going by the clocks of both."""
        note = self._read()
        return note is not None and not _gone(note) and self._clock() - note.get("at", 0.0) < self._dead_after

    def _take(self) -> None:
        if not self._objects.create(NAME, self._written()):
            note = self._read()
            if not self._is_ours(note):  # where only the reply was lost it is
                self._take_over(note)
        self._renewed = self._uptime()
        if self._objects.create(NAME, self._written()):
            raise SettingsInvalid(
                f"--out {self._objects.place}: this store writes over what is there although it was told not to "
                "(If-None-Match): two runs at once could not be kept apart"
            )

    def _take_over(self, note: dict[str, Any] | None) -> None:
        """Wait for the holder's end, and see that nobody else did so at the same time."""
        self._await_the_end_of(note)
        self._objects.remove(NAME)
        if self._objects.create(NAME, self._written()) or self._is_ours(self._read()):
            self._sleep(_SETTLE_S)
        now = self._read()
        if not self._is_ours(now):
            raise FolderBusy(self._busy(now))

    def _release(self) -> None:
        """Take the lock away, if it is ours."""
        with suppress(OSError):  # what stays is nobody's in half a minute
            if self._is_ours(self._read()):
                self._objects.remove(NAME)

    def _is_ours(self, note: dict[str, Any] | None) -> bool:
        return note is not None and note.get("token") == self._note["token"]

    def _await_the_end_of(self, note: dict[str, Any] | None) -> None:
        """Return once the holder is sure to be dead; raise FolderBusy at its first sign of life."""
        waited = 0.0
        while note is not None and not _gone(note) and waited < self._dead_after:
            if _here(note) and self._clock() - note.get("at", 0.0) < self._dead_after:
                raise FolderBusy(self._busy(note))  # its process lives; a note that is older may be of one before it
            self._sleep(1.0)
            waited += 1.0
            if waited == _TELL_AFTER_S:
                self._tell(
                    f"waiting for the lock of {self._objects.place}{_holder(note)}, which may belong to a run that "
                    f"was killed: it is taken over after {self._dead_after:.0f} s without a sign of life"
                )
            now = self._read()
            if now is not None and now != note:
                raise FolderBusy(self._busy(now))
            note = now

    def _renew_until_over(self) -> None:
        while self.lost is None and not self._over.wait(_RENEW_EVERY_S):
            with suppress(OSError):
                self._renew()

    def _renew(self) -> None:
        began = self._uptime()
        note = self._read()
        if not self._is_ours(note):
            self._taken_away = "another run has taken the folder"
        elif self.lost is None:  # the store may have answered late: by now it may be another's
            self._objects.put_once(NAME, self._written())
            self._renewed = began

    def _written(self) -> bytes:
        return orjson.dumps({**self._note, "at": self._clock()})

    def _read(self) -> dict[str, Any] | None:
        with suppress(FileNotFoundError, orjson.JSONDecodeError):
            note = orjson.loads(self._objects.read(NAME))
            if not isinstance(note, dict):
                return {}
            return note if isinstance(note.get("at", 0.0), int | float) else {**note, "at": 0.0}
        return None

    def _busy(self, note: dict[str, Any] | None) -> str:
        place = self._objects.place
        return f"another run is at work in {place}{_holder(note)}; wait for it or choose another --out"


def _holder(note: dict[str, Any] | None) -> str:
    return f" (process {note.get('pid')} on {note.get('host')})" if note else ""


def _where() -> str:
    """This machine, this boot and these process numbers: where they are the same, a pid means the same."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [
            Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(),
            str(Path("/proc/self/ns/pid").readlink()),
        ]
    return " ".join(parts)


def _here(note: dict[str, Any]) -> bool:
    return bool(note.get("where") == _where())


def _gone(note: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is there no longer."""
    if not _here(note):
        return False
    pid = note.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # somebody else's, so it is there
        return False
    return False
