"""Names a flow run after its job and date, and finds the API key that a deployment names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration.deployments.slot import Slot
from imagen_batch.settings import Settings


def name_run(settings: Settings, slot: Slot) -> None:
    """Name this flow run after its job and the date of its slot."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - imports Prefect
    from prefect.runtime import flow_run  # noqa: PLC0415

    zone = ZoneInfo(settings.timezone or slot.timezone or "UTC")
    date = settings.date or slot.scheduled.astimezone(zone).date()
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, name=f"{settings.job_name} {date}")


def environment_with_key(settings: Settings, env: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """The environment of a run, with the key from a Prefect Secret block where the settings name one."""
    if settings.api_key_block is None:
        return env
    from prefect.blocks.system import Secret  # noqa: PLC0415 - imports Prefect

    try:
        block = Secret.load(settings.api_key_block)
        key = block.get()  # type: ignore[union-attr]
    except Exception as error:  # noqa: BLE001 - whatever the server answers, there is no key
        raise SettingsInvalid(
            f"--api-key-block {settings.api_key_block}: Prefect has no such Secret block ({type(error).__name__})"
        ) from None
    return {**env, "GOOGLE_API_KEY": str(key)}
