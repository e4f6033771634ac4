"""Connects a run and its workers on other machines through a small file beside the ledger.

The run rewrites it every few seconds: that it is alive, which part of the rate each shard may use, and whether to
stop. Workers read it as often. A worker that finds another run's file, or an unchanged one for too long, has lost
its run: it stops at once, so that it does not send and pay beside the next run in the folder.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from imagen_batch.storage import STATE, Storage

NAME: Final = f"{STATE}/control.json"
EVERY_S: Final = 2.0
ORPHANED_AFTER_S: Final = 30.0
_ALL_STOPPED_AFTER_S = 600.0  # enough for all workers to notice, however far apart two machines' clocks are


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the run publishes. The fields' names are those in the file."""

    run: str
    share: float = 1.0  # of rate and concurrency, for each shard in flight
    stop: bool = False  # send nothing more
    cut: bool = False  # also abort what is in flight
    over: bool = False  # the run has ended
    at: float = 0.0  # when this was written, in seconds since the epoch


class HeartbeatWriter:
    """The run's side: writes the heartbeat until the end. `on_lost` is called when it may no longer write there."""

    def __init__(
        self,
        storage: Storage,
        run: str,
        *,
        every: float = EVERY_S,
        on_lost: Callable[[OSError], None] = lambda _error: None,
    ) -> None:
        self._storage = storage
        self._every = every
        self._on_lost = on_lost
        self._heartbeat = Heartbeat(run)
        self._lock = threading.Lock()
        self._over = threading.Event()

    def publish(self, **changes: Any) -> None:
        """Change the heartbeat. The file is written when this returns."""
        with self._lock:
            self._heartbeat = replace(self._heartbeat, **changes)
            self._write()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Write the heartbeat for the duration of the block."""
        self.publish()
        thread = threading.Thread(target=self._repeat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            with suppress(OSError):
                self.publish(over=True)

    def _repeat(self) -> None:
        while not self._over.wait(self._every):
            try:
                with self._lock:
                    self._write()
            except PermissionError as error:  # another run has taken the folder
                self._on_lost(error)
            except OSError:  # may be temporary; a permanent failure stops the run at another write
                continue

    def _write(self) -> None:
        self._heartbeat = replace(self._heartbeat, at=time.time())
        _write(self._storage, self._heartbeat)


class HeartbeatReader:
    """A worker's side: reads the heartbeat, and notices when its run is gone."""

    def __init__(self, storage: Storage, run: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._run = run
        self._clock = clock
        self._heartbeat = Heartbeat(run)
        self._changed = clock()

    def poll(self) -> Heartbeat:
        """Return the run's heartbeat now. When the run is lost, the result requests a stop and an abort."""
        heartbeat = self._heartbeat
        with suppress(OSError):
            heartbeat = read_heartbeat(self._storage) or heartbeat
        if heartbeat != self._heartbeat:
            self._heartbeat, self._changed = heartbeat, self._clock()
        if heartbeat.run != self._run or heartbeat.over or self._clock() - self._changed > ORPHANED_AFTER_S:
            return replace(heartbeat, stop=True, cut=True)
        return heartbeat


def read_heartbeat(storage: Storage) -> Heartbeat | None:
    """Return the last heartbeat that was written; None where there is none."""
    with suppress(FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return Heartbeat(**orjson.loads(storage.read(NAME)))
    return None


def wait_for_orphaned_workers(
    storage: Storage,
    *,
    notify: Callable[[str], None],
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the workers of an earlier run that was killed must have noticed. The caller holds the lock."""
    heartbeat = read_heartbeat(storage)
    if heartbeat is not None and not heartbeat.over and clock() - heartbeat.at < _ALL_STOPPED_AFTER_S:
        seconds = ORPHANED_AFTER_S + 2 * EVERY_S
        notify(f"the last run here was killed: waiting {seconds:.0f} s until its remote workers have stopped, too")
        sleep(seconds)
        _write(storage, replace(heartbeat, over=True))


def _write(storage: Storage, heartbeat: Heartbeat) -> None:
    with storage.write(NAME) as file:
        file.write(orjson.dumps({name: getattr(heartbeat, name) for name in Heartbeat.__slots__}))
