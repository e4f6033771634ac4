"""Keeps runs of one job from overlapping, and marks earlier ones that were killed as crashed."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imagen_batch.orchestration.deployments.date_and_due_check import Skip, Slot
from imagen_batch.orchestration.recording.page_texts import tag_of_host
from imagen_batch.schedules.out_template import fields_in, fixed_part
from imagen_batch.settings import Settings
from imagen_batch.storage import is_url
from imagen_batch.system.file_lock import hold_file_lock

_JOBS = ".imagen-batch-jobs"  # the folder of the locks
_JUST_STARTED_S = 60.0


@contextmanager
def only_run_of_job(settings: Settings, *, template: str | None) -> Iterator[bool]:
    """Hold the lock of the job; yields whether there is one, which a job in a bucket has not.

    Raises Skip while another run of the job holds it. The lock ends with its process.
    """
    place = fixed_part(template) if template and fields_in(template) else os.path.dirname(settings.folder)  # noqa: PTH120
    if is_url(settings.folder):
        yield False
        return
    folder = Path(place) / _JOBS
    folder.mkdir(parents=True, exist_ok=True)
    with hold_file_lock(folder / f"{settings.job_name}.lock", patience=0.0) as held:
        if not held:
            raise Skip(f"skipped: another run of {settings.job_name} is going on; nothing was sent")
        yield True


def end_dead_runs(slot: Slot, template: str | None) -> int:
    """Mark earlier runs of the deployment as crashed that were killed and still count as running; returns how many.

    Called with the lock of the job: a run into the same folders that is going on on this machine would hold it.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - imports Prefect
    from prefect.client.schemas.filters import (  # noqa: PLC0415
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType  # noqa: PLC0415
    from prefect.runtime import flow_run  # noqa: PLC0415
    from prefect.states import Crashed  # noqa: PLC0415

    running = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING]))
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(state=running),
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[slot.deployment])),
            limit=50,
        )
        dead = [run for run in runs if str(run.id) != str(flow_run.id) and _is_of_this_job(run, template)]
        for run in dead:
            message = "Its process is gone. What it had received is kept: the next run continues."
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)
    return len(dead)


def _is_of_this_job(run: Any, template: str | None) -> bool:
    """Whether a flow run was started on this machine, not just now, for the same output folders."""
    return (
        tag_of_host() in run.tags
        and dict(run.parameters.get("settings") or {}).get("out") == template
        and run.start_time is not None
        and (dt.datetime.now(dt.UTC) - run.start_time).total_seconds() > _JUST_STARTED_S
    )
