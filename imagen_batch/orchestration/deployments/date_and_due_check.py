"""Decides what a flow run of a deployment is for: its date, and whether it is still due."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

from imagen_batch.errors import ImagenBatchError
from imagen_batch.orchestration.recording.page_texts import tag_of_host
from imagen_batch.schedules.out_template import fields_in, fixed_part
from imagen_batch.schedules.scheduled_and_missed_moments import reason_to_skip, slots_after
from imagen_batch.settings import Settings
from imagen_batch.storage import is_url

JOBS = ".imagen-batch-jobs"


class Skip(ImagenBatchError):
    """A run that is not made, for a reason that is no failure."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The deployment of a flow run, and the moment for which it was scheduled."""

    deployment: str  # its id
    scheduled: dt.datetime
    cron: str | None = None
    timezone: str | None = None
    automatic: bool = False  # made by the schedule, and not by a person
    has_schedule: bool = True  # the deployment still has one


def current_slot() -> Slot | None:
    """Return the slot of this flow run; None where it belongs to no deployment. Asks Prefect's server."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - imports Prefect
    from prefect.runtime import deployment, flow_run  # noqa: PLC0415

    if deployment.id is None:
        return None
    with get_client(sync_client=True) as client:
        found: Any = client.read_deployment(deployment.id)
        run: Any = client.read_flow_run(flow_run.id)
    schedules = [each.schedule for each in found.schedules if getattr(each.schedule, "cron", None)]
    schedule = schedules[0] if schedules else None
    return Slot(
        deployment=str(deployment.id),
        scheduled=run.expected_start_time or dt.datetime.now(dt.UTC),
        cron=None if schedule is None else schedule.cron,
        timezone=None if schedule is None else schedule.timezone,
        automatic=bool(run.auto_scheduled),
        has_schedule=bool(found.schedules),
    )


def with_date(settings: Settings, slot: Slot) -> Settings:
    """Return the settings with the date of the slot, where the output folder needs one and none is given."""
    if settings.date is not None or settings.out is None or "date" not in fields_in(settings.out):
        return settings
    zone = ZoneInfo(settings.timezone or slot.timezone or "UTC")
    changed = settings.model_copy(update={"date": slot.scheduled.astimezone(zone).date()})
    changed.model_fields_set.add("date")
    return changed


def check_due(settings: Settings, slot: Slot, *, now: dt.datetime) -> None:
    """Raise Skip for a scheduled run that was missed and is not made any more, or whose schedule was taken away.

    Prefect's scheduler may have planned a run in the moment in which the schedule was removed.
    """
    if slot.automatic and not slot.has_schedule:
        raise Skip(f"skipped: {settings.job_name} has no schedule any more; nothing was sent")
    if not slot.automatic or slot.cron is None:
        return
    following = next(slots_after(slot.scheduled, cron=slot.cron, timezone=slot.timezone or "UTC"), None)
    reason = reason_to_skip(slot.scheduled, now=now, following=following, policy=settings.catch_up)
    if reason is not None:
        day = f" of {settings.date}" if settings.date else ""
        raise Skip(f"skipped: the run{day} was missed, and {reason}. To make it: {_backfill(settings)}")


def _backfill(settings: Settings) -> str:
    if settings.date is None:
        return f"prefect deployment run imagen-batch/{settings.job_name}"
    return f"imagen-batch backfill {settings.job_name} --from {settings.date} --to {settings.date}"


@contextmanager
def only_run_of_job(settings: Settings, *, template: str | None) -> Iterator[bool]:
    """Hold the lock of the job; yields whether there is one, which a job in a bucket has not.

    Raises Skip while another run of the job holds it. The lock ends with its process.
    """
    place = fixed_part(template) if template and fields_in(template) else os.path.dirname(settings.folder)  # noqa: PTH120
    if is_url(settings.folder):
        yield False
        return
    folder = Path(place) / JOBS
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{settings.job_name}.lock").open("ab") as file:
        if not _lock(file):
            raise Skip(f"skipped: another run of {settings.job_name} is going on; nothing was sent")
        yield True


def _lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


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
        dead = [
            run
            for run in runs
            if str(run.id) != str(flow_run.id)
            and tag_of_host() in run.tags
            and dict(run.parameters.get("settings") or {}).get("out") == template
            and run.start_time is not None
            and (dt.datetime.now(dt.UTC) - run.start_time).total_seconds() > 60
        ]
        for run in dead:
            message = "Its process is gone. What it had received is kept: the next run continues."
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)
    return len(dead)
