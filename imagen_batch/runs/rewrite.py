"""Writes a run's tables and summary again from its ledger, without sending anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import orjson

from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Outcome
from imagen_batch.reports.facts_for_next_steps import make_continuation
from imagen_batch.reports.manifest_rows import Results
from imagen_batch.reports.summary import RunFacts
from imagen_batch.reports.tables.write_without_raising import describe_unwritten
from imagen_batch.runs.finalize import count_older_images, write_summary, write_tables
from imagen_batch.storage import Storage
from imagen_batch.storage.irregular_files import irregularity


def rewrite_tables(plan: RunPlan, history: History, storage: Storage) -> None:
    """Write all tables and the summary. The caller holds the lock. Raises OSError where one can't be written."""
    summary, unwritten = write_tables(Results(plan, history, storage, pending_status(storage)))
    facts = replace(_run_facts(plan, history, storage, shown=summary.files), unwritten=unwritten)
    failed = write_summary(summary, facts, storage).facts.unwritten
    if failed:
        raise OSError(failed[0].error_number, describe_unwritten(failed))


def pending_status(storage: Storage) -> Outcome:
    """Return the status that the tables give to unsent samples: only the last summary knows about a budget."""
    if irregularity(storage, "summary.json"):
        return "not_attempted"
    try:
        skipped = orjson.loads(storage.read("summary.json"))["samples"]["skipped_budget"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return "not_attempted"
    return "skipped_budget" if skipped else "not_attempted"


def _run_facts(plan: RunPlan, history: History, storage: Storage, *, shown: int) -> RunFacts:
    now = datetime.now(UTC)
    facts = RunFacts.from_ledger(
        history, out=storage.location, provider=plan.settings.provider, started_at=now, finished_at=now
    )
    return replace(
        facts,
        run=make_continuation(plan, history),
        warnings=tuple(plan.warnings),
        older_images=count_older_images(history, storage, shown=shown),
    )
