"""How does a run start and end with Prefect around it?

Prefect's server boots in the background. Meanwhile the input is read, the folder opened, the past looked up.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.take_input import take_input
from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.prefect_attachment import Attached
from imagen_batch.orchestration.prefect_env import quieten, spare_loopback
from imagen_batch.orchestration.prefect_reachable import unreachable
from imagen_batch.orchestration.prefect_server import OwnServer
from imagen_batch.planning.pending import count_pending, nothing_to_send
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.row_index import PendingRow
from imagen_batch.reports.summary import Summary
from imagen_batch.runs.console import Console, Progress
from imagen_batch.runs.history_preload import preload_history
from imagen_batch.runs.run import Run, open_run
from imagen_batch.settings import Settings
from imagen_batch.system.addresses import web_address
from imagen_batch.text import plural

_ASK_ABOVE_USD = 5.0


def launch(settings: Settings, console: Console, *, lost: tuple[PendingRow, ...] | None = None) -> Summary:
    """Run the whole job. Raises InputInvalid or SettingsInvalid before anything is sent.

    With `lost` these samples are made again, and no others.
    """
    quieten()
    spare_loopback()
    if settings.runner != "ray":  # whose workers start as scripts
        os.environ.setdefault("PYTHONSAFEPATH", "1")  # our Python children import nothing from the current directory
    gc.freeze()  # millions of rows make no cycles: to look for some after each few hundred takes a tenth of the time
    gc.set_threshold(100_000)
    with ExitStack() as stack:
        server = None if _prefect_address(os.environ) else OwnServer()
        if server is not None:
            stack.callback(_stop_unless_used, server)
        ahead = preload_history(settings.place)
        plan = take_input(settings, today=datetime.now(UTC).date(), confirm=console.confirm)
        stack.callback(plan.delete_spool)
        plan.lost = lost
        for warning in plan.warnings:
            console.say(f"warning: {warning}")
        _ask(plan, console)
        ahead = ahead if plan.settings.place == settings.place else None  # a failures.csv names its folder
        opened = open_run(plan, env=os.environ, command=console.command, ahead=ahead, say=console.say)
        run = stack.enter_context(opened)
        _tell_start(run, console, server)
        return _executed(run, console, server)


def _executed(run: Run, console: Console, server: OwnServer | None) -> Summary:
    if server is None:
        _refuse_unreachable(os.environ["PREFECT_API_URL"])
    left = count_pending(run.plan, run.past)
    if not left.requests:
        console.say(nothing_to_send(left))
    execution = Execution(run, left)
    if server is not None:
        server.used = True
    attached = Attached(execution, server)
    try:
        _wait_for_prefect(attached, execution, console, server)
        with closing(console.progress(left.samples)) as progress:
            run.count.watcher = progress.seen
            summary = execution.complete(say=partial(_stopping, progress, console))
    except BaseException as error:
        attached.abandon(_exit_code(error))
        raise
    missed = attached.goodbye(summary.exit_code)
    if missed is not None and execution.attached.is_set():
        console.say(f"warning: {missed}")
    return summary


def _stopping(progress: Progress, console: Console, words: str) -> None:
    progress.stopping()
    console.say(words)


def _exit_code(error: BaseException) -> int:
    """What a process that ends with `error` returns."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return {KeyboardInterrupt: 130, SettingsInvalid: 2}.get(type(error), 1)


def _refuse_unreachable(url: str) -> None:
    if (why := unreachable(url)) is not None:
        raise SettingsInvalid(
            f"no Prefect server answers at PREFECT_API_URL={_without_user(url)}: {why}. Nothing was sent. "
            "Start that server, correct the address, or unset PREFECT_API_URL: then the run starts one of its own"
        )


def _without_user(url: str) -> str:
    """The address without a user's name and password."""
    scheme, slashes, rest = url.partition("://")
    return scheme + slashes + rest.rpartition("@")[2]


def _wait_for_prefect(attached: Attached, execution: Execution, console: Console, server: OwnServer | None) -> None:
    """Wait until Prefect's flow run has begun. Threads of our own can do without one of a server of our own."""
    if (why := attached.wait()) is None:
        return
    if server is None or execution.run.plan.settings.runner != "threads":
        log = "" if server is None else f"; its log is {server.log}"
        raise SettingsInvalid(f"Prefect can't take up this run: {why}{log}. Nothing was sent")
    console.say(f"warning: Prefect will not show this run: {why}; its log is {server.log}")


def _prefect_address(env: Mapping[str, str]) -> str | None:
    """The address of the server to use; None where a run starts its own. Raises SettingsInvalid where it is none."""
    address = env.get("PREFECT_API_URL")
    try:
        return web_address(address) if address else None
    except ValueError as error:
        raise SettingsInvalid(f"PREFECT_API_URL {address!r}: {error}") from None


def _stop_unless_used(server: OwnServer) -> None:
    # Once Prefect talked to it, it must outlive Prefect's own drains, which come at exit.
    if not server.used:
        server.stop()


def _ask(plan: RunPlan, console: Console) -> None:
    if console.confirm is None or plan.worst_usd <= _ASK_ABOVE_USD or plan.settings.provider == "simulator":
        return
    left = count_pending(plan)
    if left.usd <= _ASK_ABOVE_USD:
        return
    question = f"Make {plural(left.samples, 'picture')} for up to ${left.usd:.2f}?"
    if not console.confirm(question):
        raise SettingsInvalid("not confirmed: nothing was sent (--yes does not ask)")


def _tell_start(run: Run, console: Console, server: OwnServer | None) -> None:
    plan = run.plan
    asked = f"{plural(plan.wanted_rows, 'row')}, {plural(plan.wanted_samples, 'picture')}"
    console.say(f"{asked} asked for, into {plan.settings.place}")
    console.say(f"requests go to {urlsplit(run.context.provider.base_url).netloc}")
    free = run.context.store.storage.free()
    if free is not None and free < plan.disk_bytes:
        console.say(
            f"warning: the pictures may need {plan.disk_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "the run stops in time when they run out"
        )
    if run.recovered:
        console.say(f"put in place what an interrupted run had received: {plural(run.recovered, 'picture')}")
    if server is not None:
        seconds = "15 s, it makes its database this first time" if server.first_boot else "about 5 s"
        console.say(f"starting Prefect's server ({seconds}; set PREFECT_API_URL to use one that runs)")
