"""How do a run and its workers elsewhere know of each other? By one small file beside the ledger.

The run writes it anew every few seconds: that it lives, which part of the rate each shard may use, and whether to
stop. Workers look at it as often. A worker that finds another run's file, or the same one for too long, has lost
its run: it stops at once, so that whoever takes the folder up next does not pay beside it.
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
_LONG_DEAD_S = 600.0  # by then all have noticed, however far apart the clocks of two machines are


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the run says."""

    run: str
    share: float = 1.0  # of rate and concurrency, for each shard in flight
    stop: bool = False  # send nothing more
    cut: bool = False  # end what is under way, too
    over: bool = False  # nobody is at work any more
    at: float = 0.0  # when, in seconds since the epoch


class HeartbeatWriter:
    """The run's side: says a word now, and again and again until the end. `lost` hears that it may not any more."""

    def __init__(
        self,
        storage: Storage,
        run: str,
        *,
        every: float = EVERY_S,
        lost: Callable[[OSError], None] = lambda _error: None,
    ) -> None:
        self._storage = storage
        self._every = every
        self._lost = lost
        self._word = Heartbeat(run)
        self._lock = threading.Lock()
        self._over = threading.Event()

    def say(self, **changes: Any) -> None:
        """Change the word; it is there when this returns."""
        with self._lock:
            self._word = replace(self._word, **changes)
            self._write()

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Be heard while the block lasts."""
        self.say()
        thread = threading.Thread(target=self._repeat, name="control", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            with suppress(OSError):
                self.say(over=True)

    def _repeat(self) -> None:
        while not self._over.wait(self._every):
            try:
                with self._lock:
                    self._write()
            except PermissionError as error:  # the place is in other hands
                self._lost(error)
            except OSError:  # trouble that passes; that which stays shows itself elsewhere
                continue

    def _write(self) -> None:
        self._word = replace(self._word, at=time.time())
        _write(self._storage, self._word)


class HeartbeatReader:
    """A worker's side. `lost` turns True when nobody speaks for this run any more."""

    def __init__(self, storage: Storage, run: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._storage = storage
        self._run = run
        self._clock = clock
        self._word = Heartbeat(run)
        self._changed = clock()

    def listen(self) -> Heartbeat:
        """The run's word as it is now; a run that is lost says to stop and to cut."""
        word = self._word
        with suppress(OSError):
            word = read_heartbeat(self._storage) or word
        if word != self._word:
            self._word, self._changed = word, self._clock()
        if word.run != self._run or word.over or self._clock() - self._changed > ORPHANED_AFTER_S:
            return replace(word, stop=True, cut=True)
        return word


def read_heartbeat(storage: Storage) -> Heartbeat | None:
    """What was said last; None where nobody ever spoke."""
    with suppress(FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return Heartbeat(**orjson.loads(storage.read(NAME)))
    return None


def wait_for_orphaned_workers(
    storage: Storage,
    *,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once workers of an earlier run that was killed must have noticed. For whoever holds the lock."""
    word = read_heartbeat(storage)
    if word is not None and not word.over and clock() - word.at < _LONG_DEAD_S:
        seconds = ORPHANED_AFTER_S + 2 * EVERY_S
        say(f"the last run here was killed: waiting {seconds:.0f} s, until its workers elsewhere have stopped, too")
        sleep(seconds)
        _write(storage, replace(word, over=True))


def _write(storage: Storage, word: Heartbeat) -> None:
    with storage.write(NAME) as file:
        file.write(orjson.dumps({name: getattr(word, name) for name in Heartbeat.__slots__}))
