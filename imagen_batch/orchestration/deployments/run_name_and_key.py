"""Names a flow run after its job and date, and finds the API key that a deployment names."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from zoneinfo import ZoneInfo

from imagen_batch.errors import SettingsInvalid
from imagen_batch.orchestration.deployments.slot import Slot, tag_of_host
from imagen_batch.settings import Settings

_LOGS_S = 5.0  # for the last lines of the log


def name_run(settings: Settings, slot: Slot) -> None:
    """Name this flow run after its job and the date of its slot, and tag it with the machine that makes it."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - imports Prefect
    from prefect.runtime import flow_run  # noqa: PLC0415

    zone = ZoneInfo(settings.timezone or slot.timezone or "UTC")
    date = settings.date or slot.scheduled.astimezone(zone).date()
    with get_client(sync_client=True) as client:
        tags = {*flow_run.tags, tag_of_host()}
        client.update_flow_run(flow_run.id, name=f"{settings.job_name} {date}", tags=sorted(tags))


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


def end_by_signal(number: int, *, log: Callable[[str], None], message: str) -> None:
    """End this process by the signal that stopped its run, now that everything is written.

    Whoever canceled the run in Prefect then sees it as canceled. Any state that the flow itself returned would be
    shown as an error, or hide the cancellation.
    """
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415 - imports Prefect

    log(message)
    APILogWorker.drain_all(timeout=_LOGS_S)
    if threading.current_thread() is threading.main_thread():
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
