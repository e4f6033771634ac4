"""Sets Prefect's environment for a batch job.

No telemetry, no log line for each task, and task runs recorded in batches so that the server keeps up. The variables
are set before Prefect is imported, and only if the user has not set them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from imagen_batch.orchestration.server.bound_log_size import bound_log_size

CLIENT_LOG = "imagen-batch-client.log"
QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    # The lines of a run's own log are shown in Prefect's page.
    "PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL": "INFO",
    "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "INFO",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}


KEEP_90_DAYS = {
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(90 * 86_400),
}
"""A run's own server removes flow runs that ended more than 90 days ago, with what belongs to them."""


def set_quiet_defaults(env: MutableMapping[str, str] = os.environ) -> None:
    """Set the variables that `env` does not have."""
    for name, value in QUIET.items():
        env.setdefault(name, value)


def bypass_proxy_for_loopback(env: MutableMapping[str, str] = os.environ) -> None:
    """Keep proxies of the environment out of connections to servers on this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        hosts = [part for part in env.get(name, "").split(",") if part]
        env[name] = ",".join(dict.fromkeys([*hosts, "127.0.0.1", "localhost", "::1"]))


def prefect_home(env: Mapping[str, str] = os.environ) -> Path:
    """Return Prefect's folder."""
    return Path(env.get("PREFECT_HOME") or Path.home() / ".prefect")


def log_to_file(env: MutableMapping[str, str] = os.environ) -> None:
    """Send Prefect's own log of this process to a file, unless the user has set a log level.

    If the server is gone, Prefect logs a page of tracebacks for each of its retries; the run prints one line.
    """
    if env.get("PREFECT_LOGGING_LEVEL") != QUIET["PREFECT_LOGGING_LEVEL"]:
        return
    from prefect.logging.handlers import PrefectConsoleHandler  # noqa: PLC0415 - imports Prefect

    file = _log_file(prefect_home(env) / CLIENT_LOG)
    file.setFormatter(logging.Formatter("%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    for logger in loggers:
        if any(isinstance(handler, PrefectConsoleHandler) for handler in logger.handlers):
            others = [handler for handler in logger.handlers if not isinstance(handler, PrefectConsoleHandler)]
            logger.handlers = [*others, file]


def _log_file(path: Path) -> logging.Handler:
    bound_log_size(path)
    try:
        return logging.FileHandler(path)
    except OSError:  # the run does not depend on this log
        return logging.NullHandler()
