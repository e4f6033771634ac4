"""Where does a run stand? Answered from its folder alone, also while it is going on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from imagen_batch.account import Account
from imagen_batch.continuation import continuation
from imagen_batch.history import read_history
from imagen_batch.keeping import reopened
from imagen_batch.storage import LEDGER, in_reach, open_storage
from imagen_batch.summary import Facts, Summary, Tally


def look(place: str | Path) -> Summary:
    """The state of the run in `place`, as its summary would tell it now. Raises SettingsInvalid when there is none.

    While the run goes on, what is in flight counts as unknown.
    """
    storage, examined, tally = open_storage(place), reopened(place), Tally()
    with in_reach(place, to="be read"):
        past, running = read_history(storage.logs(LEDGER)), storage.is_locked()
        for entry in Account(examined, past, storage).entries():
            tally.add(entry)
    now = datetime.now(UTC)
    return tally.summary(
        Facts(
            out=storage.place,
            command="",
            run=continuation(examined, past),
            started_at=now,
            finished_at=now,
            provider=examined.settings.provider,
            attempts=past.attempts,
            refused_429=past.refused_429,
            money=past.lost_money(),
            running=running,
        )
    )
