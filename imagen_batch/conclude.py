"""How is a run brought to its end on paper: tables, summary.json, summary.md?"""

from __future__ import annotations

from datetime import UTC, datetime

from imagen_batch.account import Account
from imagen_batch.examine import Examined
from imagen_batch.files import written_text
from imagen_batch.history import read_history
from imagen_batch.records import Outcome
from imagen_batch.report import to_json_text, to_markdown
from imagen_batch.shelf import STATE
from imagen_batch.studio import Studio
from imagen_batch.summary import Facts, Summary, Tally, ending
from imagen_batch.tables import Tables


def conclude(examined: Examined, studio: Studio, *, started: datetime, command: str) -> Summary:
    """Write what the ledger on disk says into tables and summary; returns the summary."""
    settings, folder = examined.settings, studio.folder
    past = read_history(folder / STATE / "ledger")
    pending: Outcome = "skipped_budget" if studio.budget.hit and not studio.stop.is_set else "not_attempted"
    account = Account(examined, past, folder, pending)
    tally = Tally()
    file = examined.file
    with Tables(
        folder, user_columns=file.user_columns, columns=file.columns, provider=settings.provider
    ) as tables:
        for entry in account.entries():
            tables.add(entry)
            tally.add(entry)
    facts = Facts(
        out=str(settings.folder),
        command=command,
        started_at=started,
        finished_at=datetime.now(UTC),
        ending=ending(studio.stop),
        provider=settings.provider,
        attempts=past.attempts,
        refused_429=past.refused_429,
        money=past.lost_money(),
    )
    summary = tally.summary(facts)
    with written_text(folder / "summary.json") as text:
        text.write(to_json_text(summary))
    with written_text(folder / "summary.md") as text:
        text.write(to_markdown(summary))
    return summary
