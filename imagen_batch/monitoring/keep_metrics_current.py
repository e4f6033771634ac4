"""Keeps the file of --metrics current: during a run, every few seconds, and at its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagen_batch.monitoring.end_message import Message
    from imagen_batch.monitoring.metrics_during_run import MetricsDuringRun
    from imagen_batch.reports.summary import Summary
    from imagen_batch.runs.run import Run


class MetricsKeeper:
    """Writes the file at `path`. `say` gets one warning if that is not possible, and the run goes on."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._during_run: MetricsDuringRun | None = None
        self._has_warned = False

    def follow(self, run: Run, pending: int) -> None:
        """Write the figures of a running run until `close`."""
        from imagen_batch.monitoring.metrics_during_run import MetricsDuringRun  # noqa: PLC0415

        self._during_run = MetricsDuringRun(self._path, self._warn)
        self._during_run.follow(run, pending)

    def close(self) -> None:
        """Write no more figures of a running run."""
        if self._during_run is not None:
            self._during_run.close()

    def save_end(self, folder: str, message: Message, summary: Summary | None) -> None:
        """Write the figures at the end of the run."""
        from imagen_batch.monitoring.metrics import write_metrics  # noqa: PLC0415 - imports Arrow

        try:
            write_metrics(self._path, folder, exit_code=message.exit_code, summary=summary)
        except OSError as error:
            self._warn(error)

    def _warn(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            reason = error.strerror or error
            self._say(f"warning: {self._path} can't be written: {reason}. The run itself is not affected.")
