"""The job as a Prefect flow: examine, open, a task for each shard (here.py, elsewhere.py), account, report.

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

if __name__ == "__main__":  # so that the flow is defined in an importable module, once
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from imagen_batch.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.artifacts import ProgressArtifact, show_summary
from flows.elsewhere import Elsewhere
from flows.here import MOST_SHARDS_IN_FLIGHT, Here
from flows.signals import stopping_on_signals
from imagen_batch.errors import Fatal, SettingsInvalid
from imagen_batch.remaining import Remaining, remaining
from imagen_batch.room import disk_trouble
from imagen_batch.run import Run, open_run
from imagen_batch.settings import Settings
from imagen_batch.stopping import Stop
from imagen_batch.summary import Summary
from imagen_batch.take_input import take_input

_prepared: ContextVar[tuple[Run, Remaining] | None] = ContextVar("prepared", default=None)


@contextmanager
def prepared(run: Run, left: Remaining) -> Iterator[None]:
    """Let the flow use a run that this process has opened, while Prefect's server was starting."""
    token = _prepared.set((run, left))
    try:
        yield
    finally:
        _prepared.reset(token)


_shard_threads: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(max_workers=MOST_SHARDS_IN_FLIGHT)  # type: ignore[assignment]


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
    with _opened(settings) as (run, left), _making(run) as making:
        before = run.examined.wanted_samples - left.samples
        progress = ProgressArtifact(name, run.examined.wanted_samples)
        try:
            with _told_to(run.stop):
                for _ in making.landings() if left.requests else ():
                    progress.update(before + run.settled)
        finally:
            summary = run.finish()
    progress.update(before + run.settled, last=True)
    show_summary(name, summary)
    return _final_state(summary)


@contextmanager
def _opened(settings: Settings) -> Iterator[tuple[Run, Remaining]]:
    ready = _prepared.get()
    if ready is not None:
        yield ready
        return
    with open_run(take_input(settings, today=datetime.now(UTC).date()), env=os.environ) as run:
        yield run, remaining(run.examined, run.past)


@contextmanager
def _making(run: Run) -> Iterator[Here | Elsewhere]:
    """Where the shards are made; signals stop it."""
    settings = run.examined.settings
    making = Here(run) if settings.runner == "threads" else Elsewhere(run)
    with stopping_on_signals(run.stop, grace=settings.grace, cut=making.cut):
        yield making


@contextmanager
def _told_to(stop: Stop) -> Iterator[None]:
    """What goes wrong with the making itself ends the run, and its summary says so."""
    try:
        yield
    except SettingsInvalid as error:
        stop.for_error(Fatal(str(error), kind="settings", outcome="settings"))
    except Fatal as error:
        stop.for_error(error)
    except OSError as error:
        stop.for_error(disk_trouble(error))
    except Exception as error:
        stop.for_error(Fatal(f"a bug: {error!r}", kind="bug", outcome="bug", exit_code=1))
        raise


def _final_state(summary: Summary) -> State[Any]:
    message = ", ".join(f"{count} {name}" for name, count in summary.counts.items() if count)
    if summary.exit_code == 0:
        return Completed(message=message)
    if summary.counts["ok"] == 0 or summary.stopped_by is not None:
        return Failed(message=f"{summary.stopped_by or 'no pictures'}: {message}")
    return Completed(name="PartlyMade", message=message)
