"""Where does a run stand? Answered from its folder alone, also while it is going on."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path

from imagen_batch.account import Account
from imagen_batch.history import read_history
from imagen_batch.locking import is_locked
from imagen_batch.reopening import reopened, stored_settings
from imagen_batch.shelf import STATE
from imagen_batch.summary import Facts, Summary, Tally


def look(folder: Path) -> Summary:
    """The state of the run in `folder`, as its summary would tell it now. Raises SettingsInvalid when there is none.

    While the run goes on, what is in flight counts as unknown.
    """
    examined = reopened(folder)
    past = read_history(folder / STATE / "ledger")
    tally = Tally()
    for entry in Account(examined, past, folder).entries():
        tally.add(entry)
    now = datetime.now(UTC)
    return tally.summary(
        Facts(
            out=str(folder),
            command=shlex.join(["imagen-batch", "run", stored_settings(folder).prompts, "--out", str(folder)]),
            started_at=now,
            finished_at=now,
            provider=examined.settings.provider,
            attempts=past.attempts,
            refused_429=past.refused_429,
            money=past.lost_money(),
            running=is_locked(folder / STATE / "lock"),
        )
    )
