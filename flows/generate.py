"""The job as a Prefect flow: examine, open, a task for each shard, account, report.

`python flows/generate.py PROMPTS ...` is the same as `imagen-batch run PROMPTS ...`.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

if __name__ == "__main__":  # so that the flow is defined in an importable module, once
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from imagen_batch.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture, wait
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.artifacts import ProgressArtifact, show_summary
from flows.signals import stopping_on_signals
from imagen_batch.examine import examine
from imagen_batch.plan import shard_size
from imagen_batch.records import ImageRequest
from imagen_batch.remaining import remaining
from imagen_batch.run import Run, open_run
from imagen_batch.settings import Settings
from imagen_batch.summary import Summary

_MOST_SHARDS_IN_FLIGHT = 8


_prepared: ContextVar[Run | None] = ContextVar("prepared", default=None)
_runs: dict[str, Run] = {}
_shards: dict[tuple[str, int], list[ImageRequest]] = {}


@contextmanager
def prepared(run: Run) -> Iterator[None]:
    """Let the flow use a run that this process has opened, while Prefect's server was starting."""
    token = _prepared.set(run)
    try:
        yield
    finally:
        _prepared.reset(token)


@task(name="shard", task_run_name="shard-{number}", cache_policy=NO_CACHE, persist_result=False, retries=0)
def generate_shard(run: str, number: int) -> int:
    """Make the pictures of one shard. No retries here: a request retries itself, and knows what it costs."""
    shard = _shards.pop((run, number))
    _runs[run].make(shard)
    return len(shard)


_shard_threads: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(max_workers=_MOST_SHARDS_IN_FLIGHT)  # type: ignore[assignment]


@flow(
    name="imagen-batch",
    flow_run_name="{settings.prompts}",
    task_runner=_shard_threads,
    persist_result=False,
    retries=0,
)
def generate_images(settings: Settings) -> State[Any]:
    """Turn a prompt file into pictures. Its final state says what is missing."""
    name = PurePosixPath(settings.place).name
    with _opened(settings) as run, stopping_on_signals(run.stop, grace=settings.grace, cut=run.cut):
        before = run.examined.samples - remaining(run.examined, run.past).samples
        progress = ProgressArtifact(name, run.examined.samples)
        try:
            for _ in _landings(run):
                progress.update(before + run.settled)
        finally:
            summary = run.finish()
    progress.update(before + run.settled, last=True)
    show_summary(name, summary)
    return _final_state(summary)


@contextmanager
def _opened(settings: Settings) -> Iterator[Run]:
    ready = _prepared.get()
    if ready is not None:
        yield ready
        return
    with open_run(examine(settings, today=datetime.now(UTC).date()), env=os.environ) as run:
        yield run


def _landings(run: Run) -> Iterator[None]:
    """Submit shards in a window, so that the end of one never idles a request slot; yields now and then."""
    size = shard_size(run.examined.requests)
    window = min(_MOST_SHARDS_IN_FLIGHT, 1 + -(-4 * run.examined.settings.concurrency // size))
    name = uuid4().hex
    _runs[name] = run
    flying: list[PrefectFuture[int]] = []
    try:
        for number, shard in enumerate(run.shards(), start=1):
            _shards[name, number] = shard
            flying.append(generate_shard.submit(name, number))
            while len(flying) >= window:
                flying = _landed(flying)
                yield
        while flying:
            flying = _landed(flying)
            yield
    finally:
        wait(flying)  # whatever happened, nothing goes on behind the summary's back
        del _runs[name]


def _landed(flying: list[PrefectFuture[int]]) -> list[PrefectFuture[int]]:
    """Wait for shards a moment; raise what one raised; return those still under way."""
    done, rest = wait(flying, timeout=0.5)
    for future in done:
        future.result()
    return list(rest)


def _final_state(summary: Summary) -> State[Any]:
    message = ", ".join(f"{count} {name}" for name, count in summary.counts.items() if count)
    if summary.exit_code == 0:
        return Completed(message=message)
    if summary.counts["ok"] == 0 or summary.stopped_by is not None:
        return Failed(message=f"{summary.stopped_by or 'no pictures'}: {message}")
    return Completed(name="PartlyMade", message=message)
