"""Which of Prefect's habits does a batch job not want?

Set before Prefect is imported, and only where the user has not decided otherwise: no call home, no line of
log for each task, and task runs recorded in batches so that its server keeps up.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}


def quieten(env: MutableMapping[str, str] = os.environ) -> None:
    """Put the quiet settings into `env` where they are not set."""
    for name, value in QUIET.items():
        env.setdefault(name, value)


def spare_loopback(env: MutableMapping[str, str] = os.environ) -> None:
    """Let no proxy of the environment stand between us and servers on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        spared = [part for part in env.get(name, "").split(",") if part]
        env[name] = ",".join(dict.fromkeys([*spared, "127.0.0.1", "localhost", "::1"]))
