"""Reports the start and the end of a run. Whatever fails here changes nothing for the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imagen_batch.monitoring.heartbeat import Heartbeat
from imagen_batch.monitoring.message import Message, describe_error, describe_summary
from imagen_batch.monitoring.notify import collect_addresses, send
from imagen_batch.reports.summary import Summary
from imagen_batch.settings import Settings

Say = Callable[[str], None]


@dataclass
class Watch:
    """What the block of `watch_run` sets: the summary of the run."""

    summary: Summary | None = None


@contextmanager
def watch_run(settings: Settings, say: Say) -> Iterator[Watch]:
    """Report the run that the block makes. `say` gets a warning if a report fails.

    Raises SettingsInvalid, before the block, for settings that can't work.
    """
    addresses = collect_addresses(settings.notify, settings.notify_file)
    heartbeat = Heartbeat(settings.heartbeat) if settings.heartbeat else None
    if heartbeat is not None:
        heartbeat.start()
    watch = Watch()
    try:
        yield watch
    except BaseException as error:
        message = describe_error(error, settings.folder)
        _save_metrics(settings, settings.folder, message, None, say)
        _report(message, settings, addresses, heartbeat, say)
        raise
    if watch.summary is not None:
        message = describe_summary(watch.summary)
        _save_metrics(settings, watch.summary.facts.out, message, watch.summary, say)
        _report(message, settings, addresses, heartbeat, say)


def _save_metrics(settings: Settings, folder: str, message: Message, summary: Summary | None, say: Say) -> None:
    if settings.metrics is None:
        return
    from imagen_batch.monitoring.metrics import write_metrics  # noqa: PLC0415 - imports Arrow

    try:
        write_metrics(Path(settings.metrics), folder, exit_code=message.exit_code, summary=summary)
    except OSError as error:
        say(f"warning: {settings.metrics} can't be written: {error.strerror or error}. The run is not affected.")


def _report(
    message: Message, settings: Settings, addresses: tuple[str, ...], heartbeat: Heartbeat | None, say: Say
) -> None:
    # Another Ctrl-C abandons the report, not the result of the run.
    with suppress(Exception, KeyboardInterrupt, SystemExit):
        if heartbeat is not None:
            heartbeat.finish(failed=message.is_failure)
        if addresses and message.is_wanted(settings.notify_on):
            reason = send(message, addresses)
            if reason is not None:
                say(f"warning: the notification was not sent: {reason}. The run itself is not affected.")
