"""Reports the start and the end of a run. Whatever fails here changes nothing for the run.

What a report needs is imported for it: a run without reports begins as soon as without this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imagen_batch.settings import Settings

if TYPE_CHECKING:
    from imagen_batch.monitoring.end_message import Message
    from imagen_batch.monitoring.healthcheck_ping import Healthcheck
    from imagen_batch.monitoring.keep_metrics_current import MetricsKeeper
    from imagen_batch.reports.summary import Summary
    from imagen_batch.runs.run import Run

Say = Callable[[str], None]
Follow = Callable[["Run", int], None]


def follow_nothing(_run: Run, _pending: int) -> None:
    """Do nothing: no figures of a running run are wanted."""


@dataclass
class Watch:
    """What the block of `watch_run` sets, the summary of the run, and calls.

    `follow` is called with an opened run and how many images it has to make.
    """

    summary: Summary | None = None
    follow: Follow = follow_nothing


@dataclass(frozen=True)
class _Reports:
    """What the settings ask to report, and to whom."""

    settings: Settings
    addresses: tuple[str, ...]
    heartbeat: Healthcheck | None
    say: Say
    metrics: MetricsKeeper | None

    @property
    def wanted(self) -> bool:
        """Whether there is anything to report."""
        return bool(self.addresses or self.heartbeat or self.metrics)

    def report_error(self, error: BaseException) -> None:
        """Report a run that ended without a summary."""
        from imagen_batch.monitoring.end_message import describe_error  # noqa: PLC0415

        folder = self.settings.folder
        self._report(describe_error(error, folder), folder, None)

    def report_summary(self, summary: Summary) -> None:
        """Report a run that wrote a summary."""
        from imagen_batch.monitoring.end_message import describe_summary  # noqa: PLC0415

        self._report(describe_summary(summary), summary.facts.out, summary)

    def _report(self, message: Message, folder: str, summary: Summary | None) -> None:
        if self.metrics is not None:
            self.metrics.save_end(folder, message, summary)
        if self.heartbeat is not None:
            self.heartbeat.finish(failed=message.is_failure)
        if self.addresses and message.is_wanted(self.settings.notify_on):
            from imagen_batch.monitoring.notify import send  # noqa: PLC0415

            if (reason := send(message, self.addresses)) is not None:
                self.say(f"warning: the notification was not sent: {reason}. The run itself is not affected.")


@contextmanager
def watch_run(settings: Settings, say: Say) -> Iterator[Watch]:
    """Report the run that the block makes. `say` gets a warning if a report fails.

    Raises SettingsInvalid, before the block, for settings that can't work.
    """
    reports = _begin(settings, say)
    watch = Watch(follow=reports.metrics.follow if reports.metrics else follow_nothing)
    try:
        try:
            yield watch
        finally:
            if reports.metrics is not None:
                reports.metrics.close()
    except BaseException as error:
        if reports.wanted:
            with suppress(Exception, KeyboardInterrupt, SystemExit):
                reports.report_error(error)
        raise
    if reports.wanted and watch.summary is not None:
        # Another Ctrl-C abandons the report, not the result of the run.
        with suppress(Exception, KeyboardInterrupt, SystemExit):
            reports.report_summary(watch.summary)


def _begin(settings: Settings, say: Say) -> _Reports:
    addresses: tuple[str, ...] = ()
    heartbeat: Healthcheck | None = None
    if settings.notify or settings.notify_file:
        from imagen_batch.monitoring.notify import collect_addresses  # noqa: PLC0415

        addresses = collect_addresses(settings.notify, settings.notify_file)
    if settings.heartbeat:
        from imagen_batch.monitoring.healthcheck_ping import Healthcheck  # noqa: PLC0415

        heartbeat = Healthcheck(settings.heartbeat)
        heartbeat.start()
    metrics: MetricsKeeper | None = None
    if settings.metrics:
        from imagen_batch.monitoring.keep_metrics_current import MetricsKeeper  # noqa: PLC0415

        metrics = MetricsKeeper(Path(settings.metrics), say)
    return _Reports(settings, addresses, heartbeat, say, metrics)
