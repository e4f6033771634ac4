"""How does a run start and end with Prefect around it?

Prefect's server boots in the background. Meanwhile the input is read, the folder opened, the past looked up.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime

from flows.quiet import quieten, spare_loopback
from flows.server import OwnServer
from imagen_batch.ahead import read_ahead
from imagen_batch.errors import SettingsInvalid
from imagen_batch.examine import Examined, examine
from imagen_batch.plan import Lack
from imagen_batch.progress import Progress
from imagen_batch.remaining import remaining
from imagen_batch.run import Run, open_run
from imagen_batch.settings import Settings
from imagen_batch.summary import Summary
from imagen_batch.wording import plural

_ASK_ABOVE_USD = 5.0


@dataclass(frozen=True)
class Console:
    """How a run talks to whoever started it. `confirm` is None where nobody can be asked."""

    say: Callable[[str], None]
    progress: Callable[[int], Progress]
    confirm: Callable[[str], bool] | None
    command: str  # as it was typed; the summary's next steps build on it


def launch(settings: Settings, console: Console, *, lost: tuple[Lack, ...] | None = None) -> Summary:
    """Run the whole job. Raises InputInvalid or SettingsInvalid before anything is sent.

    With `lost` these samples are made again, and no others.
    """
    quieten()
    spare_loopback()
    gc.freeze()  # millions of rows make no cycles: to look for some after each few hundred takes a tenth of the time
    gc.set_threshold(100_000)
    with ExitStack() as stack:
        server = None if os.environ.get("PREFECT_API_URL") else OwnServer()
        if server is not None:
            stack.callback(_stop_unless_used, server)
        ahead = read_ahead(settings.place)
        examined = examine(settings, today=datetime.now(UTC).date())
        examined.lost = lost
        for warning in examined.warnings:
            console.say(f"warning: {warning}")
        _ask(examined, console)
        opened = open_run(examined, env=os.environ, command=console.command, ahead=ahead, say=console.say)
        run = stack.enter_context(opened)
        _tell_start(run, console, server)
        return _in_prefect(run, console, server)


def _in_prefect(run: Run, console: Console, server: OwnServer | None) -> Summary:
    from flows.generate import generate_images, prepared  # noqa: PLC0415 - a second of importing, as late as can be

    if server is not None:
        server.wait()
        server.used = True
    left = remaining(run.examined, run.past)
    if not left.requests:
        console.say("everything was made already: there is nothing to send")
    with prepared(run, left), closing(console.progress(left.samples)) as progress:
        run.count.watcher = progress.seen
        state = generate_images(run.examined.settings, return_state=True)
    if run.stop.fatal is not None and run.stop.fatal.kind == "bug":
        state.result()  # raises it, with its traceback
    return run.finish()


def _stop_unless_used(server: OwnServer) -> None:
    # Once Prefect talked to it, it must outlive Prefect's own drains, which come at exit.
    if not server.used:
        server.stop()


def _ask(examined: Examined, console: Console) -> None:
    if console.confirm is None or examined.worst_usd <= _ASK_ABOVE_USD or examined.settings.provider == "simulator":
        return
    left = remaining(examined)
    if left.usd <= _ASK_ABOVE_USD:
        return
    question = f"{plural(left.samples, 'picture')} to make, at most ${left.usd:.2f}. Go on?"
    if not console.confirm(question):
        raise SettingsInvalid("not confirmed: nothing was sent (--yes does not ask)")


def _tell_start(run: Run, console: Console, server: OwnServer | None) -> None:
    examined = run.examined
    asked = f"{plural(examined.rows, 'row')}, {plural(examined.samples, 'picture')}"
    console.say(f"{asked} asked for, into {examined.settings.place}")
    free = run.studio.shelf.storage.free()
    if free is not None and free < examined.disk_bytes:
        console.say(
            f"warning: the pictures may need {examined.disk_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "the run stops in time when they run out"
        )
    if run.salvaged:
        console.say(f"put in place what an interrupted run had received: {plural(run.salvaged, 'picture')}")
    if server is not None:
        seconds = "15 s, it makes its database this first time" if server.first_boot else "about 5 s"
        console.say(f"starting Prefect's server ({seconds}; set PREFECT_API_URL to use one that runs)")
