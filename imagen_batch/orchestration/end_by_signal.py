"""Ends the process of a stopped flow run by a signal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from uuid import UUID

_LOGS_S = 5.0  # for the last lines of the log
_STATE_S = 3.0  # for the final state, if the server answers at all


def end_by_signal(*, log: Callable[[str], None], message: str) -> None:
    """End this process by SIGTERM now that everything is written: Prefect logs any other signal as an error.

    The run is shown as canceled: with this message, or with Prefect's if it was canceled there. Any state that the
    flow itself returned would be shown as an error, or hide the cancellation.
    """
    from prefect.logging.handlers import APILogWorker  # noqa: PLC0415 - imports Prefect

    log(message)
    sending = threading.Thread(target=copy_context().run, args=(_set_canceled, message), daemon=True)
    sending.start()
    sending.join(_STATE_S)
    APILogWorker.drain_all(timeout=_LOGS_S)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _set_canceled(message: str) -> None:
    """Set the state of this flow run if it is still running: one that was canceled in Prefect is ended there.

    Prefect replaces its message then, so a second state would only let automations react twice.
    """
    from prefect.client.orchestration import get_client  # noqa: PLC0415 - imports Prefect
    from prefect.runtime import flow_run  # noqa: PLC0415
    from prefect.states import Cancelled  # noqa: PLC0415

    with suppress(Exception), get_client(sync_client=True) as client:  # the run does not depend on Prefect
        state = client.read_flow_run(UUID(flow_run.id)).state
        if state is not None and state.is_running():
            client.set_flow_run_state(UUID(flow_run.id), Cancelled(message=message))
