"""Runs the job for the command line, and lets Prefect show it.

Requests are sent as soon as the input is read and the folder is open. Prefect's own server boots after the first of
them, and then records what has already happened. Only a cluster needs Prefect first, since its tasks make the images.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from imagen_batch.errors import SettingsInvalid
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.monitoring.start_and_end import Follow, watch_run
from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.preload_imports import import_during_first_requests
from imagen_batch.orchestration.recorder import Recorder
from imagen_batch.orchestration.server.environment import bypass_proxy_for_loopback, set_quiet_defaults
from imagen_batch.orchestration.server.own_server import OwnServer
from imagen_batch.planning.compact_row_index import PendingRow
from imagen_batch.planning.pending import count_pending, nothing_to_send
from imagen_batch.planning.plan import RunPlan
from imagen_batch.runs.run import Run, open_run
from imagen_batch.runs.run_observer import RunObserver
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, is_url
from imagen_batch.system.valid_address import web_address
from imagen_batch.text import plural, usd_at_most

if TYPE_CHECKING:
    from concurrent.futures import Future

    from imagen_batch.ledger.history import History
    from imagen_batch.ledger.records import ReviewedVersion
    from imagen_batch.orchestration.attach_prefect import Attachment
    from imagen_batch.reports.summary import Summary

_ASK_ABOVE_USD = 5.0


def launch(
    settings: Settings,
    observer: RunObserver,
    *,
    samples_to_remake: tuple[PendingRow, ...] | None = None,
    simulator: Callable[[], str] | None = None,
) -> Summary:
    """Run the whole job. Raises InputInvalid or SettingsInvalid before anything is sent.

    With `samples_to_remake`, only these are made again. `simulator` waits for one that was started for a rehearsal.
    """
    with watch_run(settings, observer.notify) as watch:
        watch.summary = _launch(
            settings.without_watching(),
            observer,
            samples_to_remake=samples_to_remake,
            simulator=simulator,
            follow=watch.follow,
        )
    return watch.summary


def _launch(
    settings: Settings,
    observer: RunObserver,
    *,
    samples_to_remake: tuple[PendingRow, ...] | None,
    simulator: Callable[[], str] | None,
    follow: Follow,
) -> Summary:
    _prepare_process(settings)
    with ExitStack() as stack:
        address = _prefect_address(os.environ)
        server = None if address else OwnServer(start=settings.runner != "threads")
        if server is not None:
            stack.callback(_stop_unless_used, server)
        find_fault = _begin_check(address) if address else _no_fault
        preload = _preload_history(settings.folder)
        decisions, review = _read_review(settings, observer)
        plan = prepare_plan(settings, today=datetime.now(UTC).date(), confirm=observer.confirm, decisions=decisions)
        stack.callback(plan.delete_spool)
        plan = replace(plan, samples_to_remake=samples_to_remake)
        for warning in plan.warnings:
            observer.notify(f"warning: {warning}")
        _confirm_cost(plan, observer)
        if plan.settings.folder != settings.folder:  # a failures.csv names its folder
            preload = None
        run = stack.enter_context(
            open_run(
                plan,
                env=os.environ,
                command=observer.command,
                preloaded=preload,
                simulator=simulator,
                notify=observer.notify,
            )
        )
        if review is not None:
            _remember_applied(run, review)
        _announce_start(run, observer, server)
        if (reason := find_fault()) is not None:
            _refuse_unreachable(os.environ["PREFECT_API_URL"], reason)
        return _execute(run, observer, server, follow)


def _read_review(settings: Settings, observer: RunObserver) -> tuple[tuple[ReviewedVersion, ...], bytes | None]:
    """Return the decisions that a run with --redo or --upgrade applies; other runs do not import that code."""
    if not (settings.redo or settings.upgrade):
        return (), None
    from imagen_batch.review.decisions.take_review_into_run import review_of_run  # noqa: PLC0415

    return review_of_run(settings, observer.notify)


def _remember_applied(run: Run, review: bytes) -> None:
    from imagen_batch.review.decisions.record_decisions import remember_applied  # noqa: PLC0415

    remember_applied(run.context.store.storage, review)


def _no_fault() -> None:
    return None


def _begin_check(address: str) -> Callable[[], str | None]:
    """Start to check whether the user's server answers; return a function that waits for the result."""
    from imagen_batch.orchestration.server.reachability import (  # noqa: PLC0415 - its own server needs no check
        find_unreachable_reason,
        run_in_background,
    )

    return run_in_background(find_unreachable_reason, address)


def _prepare_process(settings: Settings) -> None:
    set_quiet_defaults()
    bypass_proxy_for_loopback()
    if settings.runner != "ray":  # Ray starts its workers as scripts, which need their own folder on the path
        os.environ.setdefault("PYTHONSAFEPATH", "1")  # Python children import nothing from the current directory
    # Millions of rows form no cycles. Searching for some after every few hundred takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(100_000)


def _execute(run: Run, observer: RunObserver, server: OwnServer | None, follow: Follow) -> Summary:
    pending = count_pending(run.plan, run.history)
    if not pending.requests:
        observer.notify(nothing_to_send(pending))
    execution = Execution(run, pending)
    if server is not None:
        server.used = True
    prefect = _start_prefect(execution, observer, server)
    follow(run, pending.samples)
    try:
        with closing(observer.progress(pending.samples)) as progress:
            run.counter.on_results = progress.update

            def announce_stopping(message: str) -> None:
                progress.stopping()
                observer.notify(message)

            summary = execution.complete(notify=announce_stopping)
    except BaseException as error:
        prefect.abandon(_exit_code(error))
        raise
    if (warning := prefect.finish(summary.exit_code)) is not None:
        observer.notify(f"warning: {warning}")
    return summary


def _start_prefect(execution: Execution, observer: RunObserver, server: OwnServer | None) -> Recorder | Attachment:
    """Let Prefect show the execution. A cluster's tasks are Prefect's own: they wait for its flow run."""
    import_during_first_requests(execution)
    if execution.run.plan.settings.runner == "threads":
        return Recorder(
            execution, server, notify=observer.notify, key=observer.run_id, on_flow_run=observer.on_flow_run
        )
    from imagen_batch.orchestration.attach_prefect import Attachment  # noqa: PLC0415 - only for clusters

    attachment = Attachment(execution, server)
    try:
        reason = attachment.wait()
    except BaseException as error:
        attachment.abandon(_exit_code(error))
        raise
    if reason is not None:
        attachment.abandon(2)
        log = "" if server is None else f"; its log is {server.log}"
        raise SettingsInvalid(f"Prefect can't start this run: {reason}{log}. Nothing was sent")
    return attachment


def _exit_code(error: BaseException) -> int:
    """Return the exit code of a process that ends with `error`."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return {KeyboardInterrupt: 130, SettingsInvalid: 2}.get(type(error), 1)


def _refuse_unreachable(url: str, reason: str) -> NoReturn:
    from imagen_batch.orchestration.server.reachability import show_address  # noqa: PLC0415 - rarely needed

    raise SettingsInvalid(
        f"no Prefect server answers at PREFECT_API_URL={show_address(url)}: {reason}. Nothing was sent. "
        "Start that server, correct the address, or unset PREFECT_API_URL to let the run start its own server"
    )


def _preload_history(location: str) -> Future[History] | None:
    """Begin to read a long ledger; None if there is no ledger, or a short one."""
    if is_url(location) or not (Path(location) / LEDGER).exists():
        return None
    from imagen_batch.runs.history_preload import preload_history  # noqa: PLC0415 - a new run does not need it

    return preload_history(location)


def _prefect_address(env: Mapping[str, str]) -> str | None:
    """Return the address of the user's server; None if there is none. Raises SettingsInvalid if it is not valid."""
    address = env.get("PREFECT_API_URL")
    try:
        return web_address(address) if address else None
    except ValueError as error:
        raise SettingsInvalid(f"PREFECT_API_URL {address!r}: {error}") from None


def _stop_unless_used(server: OwnServer) -> None:
    # Prefect's exit handlers still send to a server that was used: it must outlive them.
    if not server.used:
        server.stop()


def _confirm_cost(plan: RunPlan, observer: RunObserver) -> None:
    """Ask before a run that may be expensive."""
    if observer.confirm is None or plan.totals.worst_usd <= _ASK_ABOVE_USD or plan.settings.provider == "simulator":
        return
    pending = count_pending(plan)
    if pending.usd <= _ASK_ABOVE_USD:
        return
    if not observer.confirm(f"Make {plural(pending.samples, 'image')} for up to {usd_at_most(pending.usd)}?"):
        raise SettingsInvalid("not confirmed: nothing was sent (use --yes to skip the question)")


def _announce_start(run: Run, observer: RunObserver, server: OwnServer | None) -> None:
    plan = run.plan
    rows, images = plural(plan.selected_rows, "row"), plural(plan.selected_samples, "image")
    observer.notify(f"{rows}, {images} requested, into {plan.settings.folder}")
    observer.notify(f"requests go to {urlsplit(run.context.provider.base_url).netloc}")
    free = run.context.store.storage.free()
    if free is not None and free < plan.disk_bytes:
        observer.notify(
            f"warning: the images may need {plan.disk_bytes / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "the run stops before the disk is full"
        )
    if run.recovered:
        observer.notify(f"recovered {plural(run.recovered, 'image')} that an interrupted run had downloaded")
    if server is not None:
        seconds = "15 s, the first time it creates its database" if server.first_boot else "about 5 s"
        waiting = "the run does not wait" if plan.settings.runner == "threads" else "the run waits for it"
        observer.notify(f"starting Prefect's server ({seconds}; {waiting}; set PREFECT_API_URL to use a running one)")
