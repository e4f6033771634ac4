"""Which of Prefect's habits does a batch job not want?

Set before Prefect is imported, and only where the user has not decided otherwise: no call home, no line of
log for each task, and task runs recorded in batches so that its server keeps up.
"""

from __future__ import annotations

import logging
import os
from collections.abc import MutableMapping
from pathlib import Path

CLIENT_LOG = "imagen-batch-client.log"
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


def log_to_file(env: MutableMapping[str, str] = os.environ) -> None:
    """Send Prefect's own log of this process to a file, unless the user has chosen what is to be logged.

    A server that is gone is a page of tracebacks for each of Prefect's retries; the run says it in one line.
    """
    if env.get("PREFECT_LOGGING_LEVEL") != QUIET["PREFECT_LOGGING_LEVEL"]:
        return
    from prefect.logging.handlers import PrefectConsoleHandler  # noqa: PLC0415 - not before Prefect is needed

    file = _log_file(Path(env.get("PREFECT_HOME") or Path.home() / ".prefect") / CLIENT_LOG)
    file.setFormatter(logging.Formatter("%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.Logger.manager.loggerDict)]
    for logger in loggers:
        if any(isinstance(handler, PrefectConsoleHandler) for handler in logger.handlers):
            logger.handlers = [one for one in logger.handlers if not isinstance(one, PrefectConsoleHandler)] + [file]


def _log_file(path: Path) -> logging.Handler:
    try:
        return logging.FileHandler(path)
    except OSError:  # the log of a watcher is worth no trouble
        return logging.NullHandler()
