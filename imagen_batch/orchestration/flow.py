"""The job as a Prefect flow: plan, open the folder, run a task for each shard, finalize, report."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import UTC, datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from imagen_batch.errors import FolderBusy, InputInvalid, SettingsInvalid
from imagen_batch.inputs.take_input import take_input
from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.local_executor import MOST_SHARDS_IN_FLIGHT
from imagen_batch.orchestration.prefect_watch import final_state, shortened, watch
from imagen_batch.planning.pending import count_pending
from imagen_batch.reports.problems import problems_text
from imagen_batch.runs.run import open_run
from imagen_batch.settings import Settings, load_settings

_GOODBYE_S = 5.0

_adopted: ContextVar[Execution | None] = ContextVar("adopted", default=None)


@contextmanager
def adopting(execution: Execution) -> Iterator[None]:
    """Let the flow watch an execution that this process has started, instead of one of its own."""
    token = _adopted.set(execution)
    try:
        yield
    finally:
        _adopted.reset(token)


_shard_threads: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(max_workers=MOST_SHARDS_IN_FLIGHT)  # type: ignore[assignment]


@flow(
    name="imagen-batch",
    flow_run_name="{settings.prompts}",
    task_runner=_shard_threads,
    persist_result=False,
    retries=0,
)
def generate_images(settings: Settings) -> State[Any]:
    """Turn a prompt file into pictures. The final state says what is missing; the result is the summary as a dict.

    What `settings` leaves out comes from IMAGEN_BATCH_* and imagen-batch.toml, as on the command line.
    """
    return _generated(settings)  # Dask pickles this function with every global that it names: only functions


def chosen_settings(settings: Settings) -> Settings:
    """`settings`, and for what they leave out environment and file. None counts as left out: forms send it."""
    given = settings.model_dump(exclude_unset=True, exclude_none=True)
    return load_settings(given, env=os.environ)


def _generated(settings: Settings) -> State[Any]:
    execution = _adopted.get()
    if execution is None:
        return _executed(settings)
    execution.context = copy_context()
    execution.attached.set()
    watch(execution)
    assert execution.summary is not None
    return final_state(execution.summary)


def _executed(settings: Settings) -> State[Any]:
    log = get_run_logger()
    try:
        plan = take_input(chosen_settings(settings), today=datetime.now(UTC).date())
        with open_run(plan, env=os.environ, say=log.warning) as run:
            execution = Execution(run, count_pending(plan, run.past), context=copy_context())
            with _watched(execution):
                summary = execution.complete(say=log.warning)
    except InputInvalid as error:
        return _refused(error, problems_text(error.problems))
    except (SettingsInvalid, FolderBusy) as error:
        return _refused(error, str(error))
    return final_state(summary)


def _refused(error: Exception, message: str) -> State[Any]:
    """Nothing was sent: everything that is wrong is in the log, and in what a caller of the flow catches."""
    for line in message.splitlines():
        get_run_logger().error(line)
    error.args = (message,)
    return Failed(message=shortened(message), data=error)


@contextmanager
def _watched(execution: Execution) -> Iterator[None]:
    """Let this flow run show the execution; a server that does not answer holds nothing up."""
    watching = threading.Thread(
        target=copy_context().run, args=(_watch_safely, execution), name="prefect", daemon=True
    )
    watching.start()
    try:
        yield
    finally:
        watching.join(_GOODBYE_S)


def _watch_safely(execution: Execution) -> None:
    try:
        watch(execution)
    except Exception as error:  # noqa: BLE001 - whatever it is, the run goes on
        get_run_logger().warning("Prefect does not show this run: %r", error)
