"""Reports the state of a run from its folder alone, also during the run."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import orjson

from imagen_batch.inputs.stored_input_and_settings import reload_plan
from imagen_batch.ledger.history import read_history
from imagen_batch.prompts.column_by_name import find_column
from imagen_batch.reports.facts_for_next_steps import make_continuation
from imagen_batch.reports.manifest_rows import Results
from imagen_batch.reports.summary import RunFacts, Summary, SummaryBuilder
from imagen_batch.runs.finalize import count_older_images
from imagen_batch.storage import LEDGER, Storage, explain_storage_errors, open_storage


def run_status(location: str | Path, *, group_by: str | None = None) -> Summary:
    """Return the summary of the run in `location` as it would be written now.

    Raises SettingsInvalid when there is no run.

    `group_by` is a column of the input; None for that of the run.

    During a run, attempts without a reply are in flight; those that an earlier run left open stay unknown.
    """
    storage, plan = open_storage(location), reload_plan(location)
    column = find_column(group_by, plan.file.columns, option="--group-by") if group_by else None
    builder = SummaryBuilder.of_run(plan.settings, group_by=column)
    with explain_storage_errors(location, to="be read"):
        running = storage.is_locked()  # before the ledger, so that no sample of a run that ends now becomes unknown
        history = read_history(storage.logs(LEDGER))
        began = _last_start(storage)
        in_flight = history.open_since(began) if running and began is not None else set()
        for row in Results(plan, history, storage, in_flight=in_flight).rows():
            builder.add(row)
        older_images = count_older_images(history, storage, shown=builder.files)
        has_gallery = storage.size("gallery.html") is not None
        started, finished = _times(storage, began, running=running)
    provider = plan.settings.provider
    facts = RunFacts.from_ledger(
        history, out=storage.location, provider=provider, started_at=started, finished_at=finished
    )
    since = began if running and began is not None else math.inf
    in_flight_attempts = sum(attempt.at >= since for attempt in history.open.values())
    return builder.build(
        replace(
            facts,
            run=make_continuation(plan, history),
            running=running,
            older_images=older_images,
            has_gallery=has_gallery,
            lost_attempts=history.charges(provider).lost_attempts - in_flight_attempts,
        )
    )


def _last_start(storage: Storage) -> float | None:
    """Return when the last run began, in seconds since the epoch. The name of its ledger begins with that time."""
    names = (path.name for path in storage.logs(LEDGER).glob("*.jsonl"))
    times = [time for name in names if (time := _parse_time(name)) is not None]
    return max(times, default=None)


def _parse_time(name: str) -> float | None:
    try:
        return float(name.partition("-")[0])
    except ValueError:
        return None


def _times(storage: Storage, began: float | None, *, running: bool) -> tuple[datetime, datetime | None]:
    """Return when the last run began and ended; no end while it runs, or if it was killed before its summary."""
    started: datetime | None = None
    finished: datetime | None = None
    with suppress(OSError, KeyError, TypeError, ValueError):  # no summary, or a damaged one
        summary = orjson.loads(storage.read("summary.json"))
        started, finished = (datetime.fromisoformat(summary[name]) for name in ("started_at", "finished_at"))
    if started and finished and not running and (began is None or finished.timestamp() >= began):
        return started, finished
    return datetime.fromtimestamp(began, UTC) if began is not None else datetime.now(UTC), None
