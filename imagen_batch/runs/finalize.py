"""Brings a run to its end on paper: tables, summary.json, summary.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from imagen_batch.errors import storage_failure
from imagen_batch.ledger.costs import Charges
from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Outcome
from imagen_batch.reports.continuation import continuation
from imagen_batch.reports.edited_failures import protect_edits, remember_written
from imagen_batch.reports.render import to_json_text, to_markdown
from imagen_batch.reports.results import Results
from imagen_batch.reports.summary import _COME_BACK, RunFacts, State, StopReason, Summary, SummaryBuilder
from imagen_batch.reports.table_file import (
    TableFile,
    Unwritten,
    beside,
    clear_beside,
    reason,
    worth_a_place_beside,
)
from imagen_batch.reports.tables import TableWriter
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.context import SendingContext
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, Storage
from imagen_batch.text import plural

_SUMMARIES: tuple[tuple[str, Callable[[Summary], str]], ...] = (
    ("summary.md", to_markdown),
    ("summary.json", to_json_text),
)
_IN_PLACE: Mapping[str, str | None] = {name: name for name, _ in _SUMMARIES}


def finalize(
    plan: RunPlan,
    context: SendingContext,
    past: History,
    *,
    started: datetime,
    command: str,
    began: tuple[int, Charges] | None = None,
) -> Summary:
    """Write what the ledger on disk says into tables and summary; returns the summary.

    `past` is what it said when the run began; `began` the attempts and charges of then. A file that can't be written
    hinders no other; the summary names it.
    """
    settings, storage = plan.settings, context.store.storage
    try:
        past.read_folder(storage.logs(LEDGER))
    except OSError as error:  # a store that is away: what was read before is told
        context.stop.fail(storage_failure(error))
    pending: Outcome = "skipped_budget" if context.budget.hit and not context.stop.is_set else "not_attempted"
    account = Results(plan, past, storage, pending)
    unwritten: tuple[Unwritten, ...] = ()
    try:
        tally, unwritten = write_tables(account)
    except OSError as error:  # the figures are told even where no table can be written
        context.stop.fail(storage_failure(error))
        tally = _counted(account)
    charges = past.charges(settings.provider)
    before = began[1].money if began else None
    facts = RunFacts(
        out=storage.place,
        command=command,
        run=continuation(plan, past),
        started_at=started,
        finished_at=datetime.now(UTC),
        ending=stop_reason(context.stop) or out_of_budget(context.budget, settings, past),
        provider=settings.provider,
        attempts=past.attempts,
        refused_429=past.refused_429,
        warnings=tuple(plan.warnings),
        money=charges.money,
        lost_attempts=charges.lost_attempts,
        run_usd=None if before is None else charges.money.spent - before.spent,
        run_attempts=None if began is None else past.attempts - began[0],
        elsewhere=older_images(past, storage, shown=tally.ok),
        unwritten=unwritten,
    )
    return write_summary(tally, facts, storage)


def out_of_budget(budget: Budget, settings: Settings, past: History) -> StopReason | None:
    """What it means that a limit left something out, and which one it was."""
    if budget.limit is None:
        return None
    usd = past.cost_bounds(settings.provider).high
    images = past.max_images_made(settings.provider)
    said = {
        "max_cost": f"${usd:.4f} of --max-cost {settings.max_cost} are spent or possibly charged in this folder",
        "max_cost_per_run": f"${usd - budget.spent_before:.4f} of --max-cost-per-run {settings.max_cost_per_run} are "
        "spent or possibly charged by this run",
        "max_images": f"{plural(images, 'picture')} of --max-images {settings.max_images} are made "
        "or possibly made in this folder",
    }[budget.limit]
    return StopReason(
        "budget", 6, f"stopped by the budget: {said}, and the next request does not fit", cause="budget"
    )


def older_images(past: History, storage: Storage, *, shown: int) -> int:
    """Images in the folder that were recorded, but belong to no sample of this input. `shown`: those that do."""
    recorded = max(0, past.pictures - shown)
    if not recorded:
        return 0
    try:
        there = sum(1 for _ in storage.sizes("images"))
    except OSError:
        return recorded
    return min(recorded, max(0, there - shown))


def write_tables(account: Results) -> tuple[SummaryBuilder, tuple[Unwritten, ...]]:
    """Write the tables, and count what goes into them. Those that fail are tried once more, elsewhere or alone."""
    protect_edits(account.storage)
    tally = SummaryBuilder()
    tables = _fill(account, tally.add)
    lost = {file.name: file for file in tables.unwritten}
    for again in tables.further_tries:
        failed = {file.name for file in _fill(account, lambda _entry: None, again=again).unwritten}
        for name, target in again.items():
            if name in failed:
                continue
            if target == name:
                del lost[name]
            else:
                lost[name] = replace(lost[name], beside=target)
    if "failures.csv" not in lost:
        remember_written(account.storage)
    return tally, tuple(lost.values())


def _fill(account: Results, count: Callable[..., None], *, again: Mapping[str, str] | None = None) -> TableWriter:
    plan = account.plan
    file, provider = plan.file, plan.settings.provider
    tables = TableWriter(
        account.storage,
        user_columns=file.user_columns,
        columns=file.columns,
        provider=provider,
        again=again,
    )
    with tables:
        for entry in account.entries():
            tables.add(entry)
            count(entry)
    return tables


def _counted(account: Results) -> SummaryBuilder:
    tally = SummaryBuilder()
    for entry in account.recorded():
        tally.add(entry)
    return tally


def write_summary(tally: SummaryBuilder, facts: RunFacts, storage: Storage) -> Summary:
    """Write the summary; what fails of it stands in what is written of it afterwards."""
    summary = tally.summary(facts)
    lost = _write_summaries(summary, storage)
    if not lost:
        clear_beside(storage, (name for name, _ in _SUMMARIES))
        return summary
    summary = tally.summary(replace(facts, unwritten=(*facts.unwritten, *lost)))
    targets = dict(_IN_PLACE) | {each.name: each.beside for each in lost}
    _write_summaries(summary, storage, targets)
    return summary


def _write_summaries(
    summary: Summary, storage: Storage, targets: Mapping[str, str | None] = _IN_PLACE
) -> tuple[Unwritten, ...]:
    """Write both texts to their `targets`, None where there is none. Returns what could not be written there."""
    lost: list[Unwritten] = []
    for name, told in _SUMMARIES:
        content = told(summary).encode("utf-8", "backslashreplace")
        target = targets[name]
        error = _write(storage, target, content) if target else None
        if error is None:
            continue
        saved = worth_a_place_beside(error) and _write(storage, beside(name), content) is None
        lost.append(Unwritten(name, reason(error), beside(name) if saved else None, error.errno))
    return tuple(lost)


def _write(storage: Storage, name: str, content: bytes) -> OSError | None:
    file = TableFile(storage, name)
    file.write(content)
    file.finish()
    return file.error


def stop_reason(stop: Stop) -> StopReason | None:
    """What a run's stop means for its summary; None when it was never set."""
    if stop.signal is not None:
        return StopReason("interrupted", 128 + stop.signal, "interrupted; run the same command to continue")
    if stop.fatal is not None:
        state: State = "paused" if stop.fatal.exit_code == _COME_BACK else "stopped"
        message = str(stop.fatal)
        if stop.fatal.resets_at is not None:
            message += f"; it begins anew at {stop.fatal.resets_at.astimezone():%Y-%m-%d %H:%M %Z}"
        return StopReason(state, stop.fatal.exit_code, message, cause=stop.fatal.outcome)
    return None
