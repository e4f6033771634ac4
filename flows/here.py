"""Shards as tasks in threads of this process: all share its request slots, so the end of one never idles them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, wait

from imagen_batch.plan import shard_size
from imagen_batch.records import ImageRequest
from imagen_batch.run import Run

MOST_SHARDS_IN_FLIGHT = 8

_runs: dict[str, Run] = {}
_shards: dict[tuple[str, int], list[ImageRequest]] = {}


@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def make_here(run: str, number: int) -> int:
    """Make the pictures of one shard. No retries here: a request retries itself, and knows what it costs."""
    shard = _shards.pop((run, number))
    _runs[run].make(shard)
    return len(shard)


class Here:
    """The making of a run in this process."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.cut = run.cut

    def landings(self) -> Iterator[None]:
        """Submit shards in a window and wait for all; yields now and then."""
        size = shard_size(self._run.examined.requests)
        window = min(MOST_SHARDS_IN_FLIGHT, 1 + -(-4 * self._run.examined.settings.concurrency // size))
        name = uuid4().hex
        _runs[name] = self._run
        flying: list[PrefectFuture[Any]] = []
        try:
            for number, shard in enumerate(self._run.shards(), start=1):
                _shards[name, number] = shard
                flying.append(make_here.submit(name, number))
                while len(flying) >= window:
                    flying = _landed(flying)
                    yield
            while flying:
                flying = _landed(flying)
                yield
        finally:
            wait(flying)  # whatever happened, nothing goes on behind the summary's back
            del _runs[name]


def _landed(flying: list[PrefectFuture[Any]]) -> list[PrefectFuture[Any]]:
    """Wait for shards a moment; raise what one raised; return those still under way."""
    done, rest = wait(flying, timeout=0.5)
    for future in done:
        future.result()
    return list(rest)
