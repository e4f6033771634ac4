"""Shards made in threads of this process: all share its request slots, so the end of one never idles them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from imagen_batch.planning.requests import shard_size
from imagen_batch.records import ImageRequest
from imagen_batch.runs.run import Run

MOST_SHARDS_IN_FLIGHT = 8
_LOOK_EVERY_S = 0.5


@dataclass
class ShardWork:
    """A shard that was started: `done` is set at its end; `error` is the bug that ended it, if one did."""

    number: int
    requests: int
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None


class LocalExecutor:
    """The making of a run in this process. `started` hears of each shard."""

    def __init__(self, run: Run, started: Callable[[ShardWork], None] = lambda _work: None) -> None:
        self._run = run
        self._started = started
        self._ended: SimpleQueue[ShardWork] = SimpleQueue()
        self.cut = run.cut

    def run_shards(self) -> Iterator[None]:
        """Make shards, a window of them at a time, and wait for all; yields now and then. Raises what is a bug."""
        size = shard_size(self._run.plan.requests)
        window = min(MOST_SHARDS_IN_FLIGHT, 1 + -(-4 * self._run.plan.settings.concurrency // size))
        in_flight = 0
        with ThreadPoolExecutor(window, thread_name_prefix="shard") as threads:
            for number, shard in enumerate(self._run.shards(), start=1):
                work = ShardWork(number, len(shard))
                self._started(work)
                threads.submit(self._make, work, shard)
                in_flight += 1
                while in_flight >= window:
                    in_flight -= self._wait()
                    yield
            while in_flight:
                in_flight -= self._wait()
                yield

    def _make(self, work: ShardWork, shard: Sequence[ImageRequest]) -> None:
        try:
            self._run.make(shard)
        except BaseException as error:  # noqa: BLE001 - raised where the run waits for its shards
            work.error = error
        finally:
            work.done.set()
            self._ended.put(work)

    def _wait(self) -> int:
        """Wait a moment for the end of a shard; returns how many have ended. Raises what one raised.

        A queue of our own: waiting for Prefect's futures with a timeout sets an alarm signal for the process.
        """
        try:
            work = self._ended.get(timeout=_LOOK_EVERY_S)
        except Empty:
            return 0
        if work.error is not None:
            raise work.error
        return 1
