"""Writes the one message about the end of a run: what, how much, where, and what to do.

It contains no prompt and no text of the service, because it leaves this machine.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from imagen_batch.choices import NotifyOn
from imagen_batch.errors import FolderBusy, InputInvalid, SettingsInvalid
from imagen_batch.reports.render import cost, to_terminal
from imagen_batch.reports.summary import Summary
from imagen_batch.storage import is_url
from imagen_batch.text import one_line, plural, printable

_MAX_CAUSES, _MAX_STEPS = 5, 2
_FINISHED_CODES = (0, 3)


@dataclass(frozen=True, slots=True)
class Message:
    """A message in plain text. `exit_code` is that of the run."""

    title: str
    body: str
    exit_code: int

    @property
    def is_failure(self) -> bool:
        """Whether the run did not finish, or made no image at all."""
        return self.exit_code not in _FINISHED_CODES

    def is_wanted(self, notify_on: NotifyOn) -> bool:
        """Whether a message of this kind is to be sent."""
        return notify_on == "always" or self.is_failure or (notify_on == "partial" and self.exit_code != 0)


def describe_summary(summary: Summary, *, host: str | None = None) -> Message:
    """Describe a run that wrote a summary."""
    name = _name(summary.facts.out)
    headline = to_terminal(summary, color=False).partition("\n")[0]
    lines = [
        headline,
        *([one_line(summary.stopped_by, 300)] if summary.stopped_by and summary.exit_code else []),
        "   ".join(f"{outcome} {count:,}" for outcome, count in summary.counts.items() if count or outcome == "ok"),
        cost(summary),
        f"in {_place(summary.facts.out, host)}",
    ]
    for group, _ in summary.causes[:_MAX_CAUSES]:
        reason = group.filter_category or group.error_kind or "no reason"
        lines.append(f"missing: {group.count:,} {group.status.replace('_', ' ')} ({one_line(str(reason), 60)})")
    lines += [f"warning: {one_line(notice, 300)}" for notice in summary.notices]
    for step in summary.next_steps[:_MAX_STEPS]:
        lines += ["", f"next: {printable(step.text)}", printable(step.command)]
    return Message(f"imagen-batch {name}: {headline}", "\n".join(lines), summary.exit_code)


def describe_error(error: BaseException, folder: str, *, host: str | None = None) -> Message:
    """Describe a run that ended without a summary."""
    reason, code = _reason(error)
    lines = [
        reason,
        f"in {_place(folder, host)}",
        "No summary was written. What was paid for before is kept; run the same command again to continue.",
    ]
    return Message(f"imagen-batch {_name(folder)}: {_ending(error)}", "\n".join(lines), code)


def _ending(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "interrupted before it began"
    if isinstance(error, InputInvalid | SettingsInvalid | FolderBusy):
        return "refused, nothing was sent"
    return "ended by an error"


def _reason(error: BaseException) -> tuple[str, int]:
    if isinstance(error, InputInvalid):  # the problems quote cells of the input
        return f"{plural(len(error.problems), 'problem')} in the prompt file; imagen-batch plan lists all of them", 5
    if isinstance(error, SettingsInvalid | FolderBusy):
        return one_line(str(error), 400), 2
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "a signal ended it", 130
    return f"an error of the kind {type(error).__name__}; the log of the run has the details", 1


def _name(folder: str) -> str:
    return one_line(folder.rstrip("/").rpartition("/")[2], 60) or "run"


def _place(folder: str, host: str | None) -> str:
    """Return the folder with its machine; a bucket is the same everywhere."""
    if is_url(folder):
        return one_line(folder, 300)
    return f"{one_line(str(Path(folder).absolute()), 300)} on {one_line(host or socket.gethostname(), 60)}"
