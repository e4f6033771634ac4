"""How is a run brought to its end on paper: tables, summary.json, summary.md?"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from imagen_batch.account import Account
from imagen_batch.budget import Budget
from imagen_batch.continuation import continuation
from imagen_batch.edits import protect_edits, remember_written
from imagen_batch.examine import Examined
from imagen_batch.history import History
from imagen_batch.records import Outcome
from imagen_batch.report import to_json_text, to_markdown
from imagen_batch.room import disk_trouble
from imagen_batch.settings import Settings
from imagen_batch.storage import LEDGER, written_text
from imagen_batch.studio import Studio
from imagen_batch.summary import Ending, Facts, Summary, Tally, ending
from imagen_batch.tables import Tables
from imagen_batch.wording import plural


def conclude(examined: Examined, studio: Studio, past: History, *, started: datetime, command: str) -> Summary:
    """Write what the ledger on disk says into tables and summary; returns the summary.

    `past` is what it said when the run began.
    """
    settings, storage = examined.settings, studio.shelf.storage
    try:
        past.read_folder(storage.logs(LEDGER))
    except OSError as error:  # a store that is away: what was read before is told
        studio.stop.for_error(disk_trouble(error))
    pending: Outcome = "skipped_budget" if studio.budget.hit and not studio.stop.is_set else "not_attempted"
    account = Account(examined, past, storage, pending)
    try:
        tally = _written(account)
    except OSError as error:  # the figures are told even where no table can be written
        studio.stop.for_error(disk_trouble(error))
        tally = _counted(account)
    facts = Facts(
        out=storage.place,
        command=command,
        run=continuation(examined, past),
        started_at=started,
        finished_at=datetime.now(UTC),
        ending=ending(studio.stop) or out_of_budget(studio.budget, settings, past),
        provider=settings.provider,
        attempts=past.attempts,
        refused_429=past.refused_429,
        warnings=tuple(examined.warnings),
        money=past.lost_money(),
    )
    summary = tally.summary(facts)
    elsewhere = max(0, past.pictures - summary.counts["ok"])
    summary = replace(summary, facts=replace(facts, elsewhere=elsewhere))
    with suppress(OSError):
        for name, content in (("summary.json", to_json_text(summary)), ("summary.md", to_markdown(summary))):
            with written_text(storage, name) as text:
                text.write(content)
    return summary


def out_of_budget(budget: Budget, settings: Settings, past: History) -> Ending | None:
    """What it means that a limit left something out, and which one it was."""
    if budget.limit is None:
        return None
    usd = past.lost_money().high
    said = {
        "max_cost": f"${usd:.4f} of --max-cost {settings.max_cost} are spent or possibly charged in this folder",
        "max_cost_per_run": f"${usd - budget.spent_before:.4f} of --max-cost-per-run {settings.max_cost_per_run} are "
        "spent or possibly charged by this run",
        "max_images": f"{plural(past.pictures_at_most(), 'picture')} of --max-images {settings.max_images} are made "
        "or possibly made in this folder",
    }[budget.limit]
    return Ending("budget", 6, f"stopped by the budget: {said}, and the next request does not fit", cause="budget")


def _written(account: Account) -> Tally:
    """Write the tables, and count what goes into them."""
    protect_edits(account.storage)
    tally, examined = Tally(), account.examined
    file, provider = examined.file, examined.settings.provider
    with Tables(account.storage, user_columns=file.user_columns, columns=file.columns, provider=provider) as tables:
        for entry in account.entries():
            tables.add(entry)
            tally.add(entry)
    remember_written(account.storage)
    return tally


def _counted(account: Account) -> Tally:
    tally = Tally()
    for entry in account.recorded():
        tally.add(entry)
    return tally
