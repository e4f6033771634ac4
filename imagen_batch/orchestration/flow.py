"""Defines the job as a Prefect flow: plan, open the folder, run a task for each shard, finalize, report."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from imagen_batch.errors import FolderBusy, InputInvalid, SettingsInvalid
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.monitoring.start_and_end import Follow, watch_run
from imagen_batch.orchestration.deployments.catch_up import make_up
from imagen_batch.orchestration.deployments.date_and_due_check import (
    Skip,
    Slot,
    check_due,
    current_slot,
    with_date,
)
from imagen_batch.orchestration.deployments.flow_run_name import name_run
from imagen_batch.orchestration.deployments.one_run_per_job import end_dead_runs, only_run_of_job
from imagen_batch.orchestration.deployments.secret_block_key import environment_with_key
from imagen_batch.orchestration.end_by_signal import end_by_signal
from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.executors.local_executor import MAX_SHARDS_IN_FLIGHT
from imagen_batch.orchestration.recording.end_state import describe_end, shorten_message
from imagen_batch.orchestration.recording.mark_this_run import marked_flow_run
from imagen_batch.orchestration.show_in_flow_run import final_state, watch
from imagen_batch.planning.pending import count_pending
from imagen_batch.reports.input_problems import problems_text
from imagen_batch.reports.summary import Summary
from imagen_batch.review.decisions.record_decisions import remember_applied
from imagen_batch.review.decisions.take_review_into_run import review_of_run
from imagen_batch.runs.run import open_run
from imagen_batch.settings import WATCHING, Settings, load_settings

_JOIN_WATCHER_S = 5.0

_shard_threads: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(max_workers=MAX_SHARDS_IN_FLIGHT)  # type: ignore[assignment]
_as_flow: Callable[[Callable[[Settings], State[Any]]], Flow[[Settings], State[Any]]] = flow(
    name="imagen-batch",
    flow_run_name="{settings.run_name}",
    task_runner=_shard_threads,
    persist_result=False,
    retries=0,
)


@_as_flow
def generate_images(settings: Settings) -> State[Any]:
    """Make the images of a prompt file. The final state says what is missing; the result is the summary as a dict.

    Settings that are not set come from IMAGEN_BATCH_* and imagen-batch.toml, as on the command line.
    """
    return _execute(settings)  # Dask pickles this function with every global that it names: only functions


def watching_flow(execution: Execution, *, on_own_server: bool = False) -> Flow[[Settings], State[Any]]:
    """Return the same flow for an execution that this process has already started; it only shows that execution."""

    @_as_flow
    def generate_images(settings: Settings) -> State[Any]:  # noqa: ARG001 - shown as the parameter of the flow run
        execution.context = copy_context()
        execution.attached.set()
        with marked_flow_run(on_own_server=on_own_server):
            watch(execution)
        assert execution.summary is not None
        return final_state(execution.summary)

    return generate_images


def complete_settings(settings: Settings) -> Settings:
    """Fill in what `settings` leave out from environment and file. None counts as left out: forms send it."""
    values = settings.model_dump(exclude_unset=True, exclude_none=True)
    watching = {
        name: value for name in WATCHING if name in settings.model_fields_set and (value := getattr(settings, name))
    }
    return load_settings({**values, **watching}, env=os.environ)


def _execute(settings: Settings) -> State[Any]:
    try:
        slot = current_slot()
        if slot is None:
            return final_state(_make(complete_settings(settings)))
        return _execute_slot(with_date(settings, slot), slot, template=settings.out)
    except InputInvalid as error:
        return _refuse(error, problems_text(error.problems))
    except (SettingsInvalid, FolderBusy) as error:
        return _refuse(error, str(error))


def _execute_slot(settings: Settings, slot: Slot, *, template: str | None) -> State[Any]:
    """Make the run of a deployment, unless it was missed or another run of the job is going on."""
    log = get_run_logger()
    complete = complete_settings(settings)
    name_run(complete, slot)
    try:
        check_due(complete, slot, now=datetime.now(UTC))
        with only_run_of_job(complete, template=template) as locked:
            if locked and (dead := end_dead_runs(slot, template)):
                log.warning("%d earlier runs of this job were killed; they are marked as crashed", dead)
            interrupted = make_up(complete, slot, template=template, make=_make, log=log.warning)
            summary = interrupted or _make(complete)
    except (Skip, FolderBusy) as error:
        log.info(str(error))
        return Completed(name="Skipped", message=shorten_message(str(error)), data={"state": "skipped"})
    if summary.state == "interrupted":
        end_by_signal(log=log.info, message=describe_end(summary).message)
    return final_state(summary)


def _make(complete: Settings) -> Summary:
    log = get_run_logger()
    with marked_flow_run(), watch_run(complete, log.warning) as reported:
        reported.summary = _make_unwatched(complete.without_watching(), reported.follow)
    return reported.summary


def _make_unwatched(complete: Settings, follow: Follow) -> Summary:
    log = get_run_logger()
    decisions, review = review_of_run(complete, log.info)
    plan = prepare_plan(complete, today=datetime.now(UTC).date(), decisions=decisions)
    with open_run(plan, env=environment_with_key(complete), notify=log.warning) as run:
        if review is not None:
            remember_applied(run.context.store.storage, review)
        execution = Execution(run, count_pending(plan, run.history), context=copy_context())
        follow(run, execution.pending.samples)
        with _watched(execution):
            return execution.complete(notify=log.warning)


def _refuse(error: Exception, message: str) -> State[Any]:
    """Log the whole message and put it into the error that a caller of the flow catches."""
    for line in message.splitlines():
        get_run_logger().error(line)
    error.args = (message,)
    return Failed(message=shorten_message(message), data=error)


@contextmanager
def _watched(execution: Execution) -> Iterator[None]:
    """Show the execution in this flow run; a server that does not answer delays nothing."""
    watcher = threading.Thread(
        target=copy_context().run, args=(_watch_safely, execution), name="prefect", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        watcher.join(_JOIN_WATCHER_S)


def _watch_safely(execution: Execution) -> None:
    try:
        watch(execution)
    except Exception as error:  # noqa: BLE001 - the run does not depend on Prefect
        get_run_logger().warning("Prefect does not show this run: %r", error)
