"""The state of a run, from its folder alone, also while it is going on."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import orjson

from imagen_batch.inputs.snapshot import reload_plan
from imagen_batch.ledger.history import History, read_history
from imagen_batch.reports.continuation import continuation
from imagen_batch.reports.results import Results
from imagen_batch.reports.summary import RunFacts, Summary, SummaryBuilder
from imagen_batch.runs.finalize import older_images
from imagen_batch.storage import LEDGER, Storage, in_reach, open_storage


def run_status(place: str | Path) -> Summary:
    """The state of the run in `place`, as its summary would tell it now. Raises SettingsInvalid when there is none.

    While the run goes on, what it sent and waits for is in flight; what an earlier one left open stays unknown.
    """
    storage, plan, tally = open_storage(place), reload_plan(place), SummaryBuilder()
    with in_reach(place, to="be read"):
        running = storage.is_locked()  # before the ledger: of a run that ends meanwhile nothing is called unknown
        past = read_history(storage.logs(LEDGER))
        began = _last_begin(storage)
        in_flight = past.open_since(began) if running and began is not None else set()
        for entry in Results(plan, past, storage, in_flight=in_flight).entries():
            tally.add(entry)
        elsewhere = older_images(past, storage, shown=tally.ok)
        started, finished = _times(storage, began, running=running)
    provider = plan.settings.provider
    charges = past.charges(provider)
    return tally.summary(
        RunFacts(
            out=storage.place,
            command="",
            run=continuation(plan, past),
            started_at=started,
            finished_at=finished,
            provider=provider,
            attempts=past.attempts,
            refused_429=past.refused_429,
            money=charges.money,
            running=running,
            elsewhere=elsewhere,
            lost_attempts=charges.lost_attempts - _attempts_since(past, began if running else None),
        )
    )


def _last_begin(storage: Storage) -> float | None:
    """When the last run began, in seconds since the epoch: its own ledger, not a shard's, is named by that."""
    names = (path.name for path in storage.logs(LEDGER).glob("*.jsonl"))
    moments = [moment for name in names if (moment := _moment(name)) is not None]
    return max(moments, default=None)


def _moment(name: str) -> float | None:
    try:
        return float(name.partition("-")[0])
    except ValueError:
        return None


def _attempts_since(past: History, began: float | None) -> int:
    return 0 if began is None else sum(attempt.at >= began for attempt in past.open.values())


def _times(storage: Storage, began: float | None, *, running: bool) -> tuple[datetime, datetime | None]:
    """When the last run began and ended. None: it is running, or was killed before it wrote its summary."""
    started: datetime | None = None
    finished: datetime | None = None
    with suppress(OSError, KeyError, TypeError, ValueError):  # none, or a damaged one
        summary = orjson.loads(storage.read("summary.json"))
        started, finished = (datetime.fromisoformat(summary[name]) for name in ("started_at", "finished_at"))
    if started and finished and not running and (began is None or finished.timestamp() >= began):
        return started, finished
    return datetime.fromtimestamp(began, UTC) if began is not None else datetime.now(UTC), None
