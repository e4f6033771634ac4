"""Names a flow run after its job and date."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from imagen_batch.orchestration.deployments.date_and_due_check import Slot
from imagen_batch.orchestration.recording.page_texts import tag_of_host
from imagen_batch.settings import Settings


def name_run(settings: Settings, slot: Slot) -> None:
    """Name this flow run after its job and the date of its slot, and tag it with the machine that makes it."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - imports Prefect
    from prefect.runtime import flow_run  # noqa: PLC0415

    zone = ZoneInfo(settings.timezone or slot.timezone or "UTC")
    date = settings.date or slot.scheduled.astimezone(zone).date()
    with get_client(sync_client=True) as client:
        tags = {*flow_run.tags, tag_of_host()}
        client.update_flow_run(flow_run.id, name=f"{settings.job_name} {date}", tags=sorted(tags))
