"""Checks the addresses that get a message at the end of a run, without sending one."""

from __future__ import annotations

from collections.abc import Iterator

from imagen_batch.checks.finding import Finding, ok, problem, warning
from imagen_batch.errors import SettingsInvalid
from imagen_batch.monitoring.end_message import Message
from imagen_batch.monitoring.notify import collect_addresses, send
from imagen_batch.settings import Settings

_NOTHING = Message(title="", body="", exit_code=0)


def check_notifications(settings: Settings) -> Iterator[Finding]:
    """Check that apprise understands every address. None of them is shown."""
    try:
        addresses = collect_addresses(settings.notify, settings.notify_file)
    except SettingsInvalid as error:
        yield problem("notify", str(error), "correct that; a run would be refused")
        return
    if not addresses:
        return
    count = "1 address" if len(addresses) == 1 else f"{len(addresses)} addresses"
    if (reason := send(_NOTHING, addresses)) is not None:
        reason = reason.replace("refused it", "not understood by apprise")
        yield warning(
            "notify", f"of {count}, {reason}", "compare with the list of services in apprise's documentation"
        )
    else:
        yield ok("notify", f"{count} understood by apprise; no message was sent")
