"""Makes shards in threads of this process.

Several shards share the request slots, so that no slot is idle while the last requests of a shard finish.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, SimpleQueue

from imagen_batch.planning.requests_and_shards import shard_size
from imagen_batch.records import ImageRequest
from imagen_batch.runs.run import Run

MAX_SHARDS_IN_FLIGHT = 8
_POLL_S = 0.5


@dataclass
class ShardWork:
    """A shard that was started. `done` is set at its end; `error` is the bug that ended it, if any.

    `stopped` says that the run stopped before its end, so that some requests may not have been sent. Times are
    seconds since 1970.
    """

    number: int
    requests: int
    started: float = field(default_factory=time.time)
    ended: float | None = None
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    stopped: bool = False


class LocalExecutor:
    """Makes the shards of a run. `on_start` is called with each shard that starts."""

    def __init__(self, run: Run, on_start: Callable[[ShardWork], None] = lambda _work: None) -> None:
        self._run = run
        self._on_start = on_start
        self._ended: SimpleQueue[ShardWork] = SimpleQueue()
        self.abort = run.abort

    def run_shards(self) -> Iterator[None]:
        """Make all shards, a window of them at a time; yields every so often. Raises an error that is a bug."""
        size = shard_size(self._run.plan.requests)
        window = min(MAX_SHARDS_IN_FLIGHT, 1 + -(-4 * self._run.plan.settings.concurrency // size))
        numbers, in_flight = count(1), 0
        with ThreadPoolExecutor(window, thread_name_prefix="shard") as threads:
            for stage in self._run.stages():
                for shard in stage:
                    work = ShardWork(next(numbers), len(shard))
                    self._on_start(work)
                    threads.submit(self._run_shard, work, shard)
                    in_flight += 1
                    while in_flight >= window:
                        in_flight -= self._wait()
                        yield
                while in_flight:
                    in_flight -= self._wait()
                    yield

    def _run_shard(self, work: ShardWork, shard: Sequence[ImageRequest]) -> None:
        try:
            self._run.generate_shard(shard)
        except BaseException as error:  # noqa: BLE001 - raised again in _wait
            work.error = error
        finally:
            work.stopped = self._run.stop.is_set
            work.ended = time.time()
            work.done.set()
            self._ended.put(work)

    def _wait(self) -> int:
        """Wait up to half a second for a shard to end; return how many have ended. Raises what the shard raised."""
        try:
            work = self._ended.get(timeout=_POLL_S)
        except Empty:
            return 0
        if work.error is not None:
            raise work.error
        return 1
