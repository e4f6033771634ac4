"""Decides what a flow run of a deployment is for: its date, and whether it is still due."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from imagen_batch.errors import ImagenBatchError
from imagen_batch.schedules.out_template import fields_in
from imagen_batch.schedules.scheduled_and_missed_moments import reason_to_skip, slots_after
from imagen_batch.settings import Settings


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
