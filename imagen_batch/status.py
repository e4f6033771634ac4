"""Where does a run stand? Answered from its folder alone, also while it is going on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import orjson

from imagen_batch.account import Account
from imagen_batch.history import History, read_history
from imagen_batch.locking import is_locked
from imagen_batch.records import OUTCOMES, Outcome
from imagen_batch.reopening import reopened
from imagen_batch.shelf import STATE
from imagen_batch.wording import plural


@dataclass(frozen=True)
class Status:
    """What the ledger says, and whether somebody is writing to it."""

    folder: Path
    running: bool
    asked: int
    counts: Counter[Outcome]
    history: History
    simulated: bool

    @property
    def state(self) -> str:
        """One word for where it stands."""
        if self.running:
            return "running"
        return "finished" if self.counts["ok"] == self.asked else "incomplete"


def look(folder: Path) -> Status:
    """The state of the run in `folder`. Raises SettingsInvalid when there is none."""
    examined = reopened(folder)
    history = read_history(folder / STATE / "ledger")
    account = Account(examined, history, folder)
    counts = Counter(entry.sample.status for entry in account.entries())
    running = is_locked(folder / STATE / "lock")
    simulated = examined.settings.provider == "simulator"
    return Status(folder, running, examined.samples, counts, history, simulated)


def status_text(status: Status) -> str:
    """The status for people."""
    under_way = "in flight or unknown" if status.running else "unknown"
    counts = [f"{status.counts[name]} {under_way if name == 'unknown' else name}" for name in OUTCOMES]
    lines = [
        f"{status.folder}: {status.state}",
        f"{plural(status.asked, 'picture')} asked for: "
        + ", ".join(one for one in counts if not one.startswith("0 ")),
        f"{status.history.attempts} attempts, {status.history.refused_429} of them refused over a rate limit",
        _cost(status),
    ]
    return "\n".join(lines)


def _cost(status: Status) -> str:
    money = status.history.lost_money()
    if status.simulated:
        return f"${money.spent:.2f} would be charged for real; the simulator charges nothing"
    return f"${money.spent:.2f} spent" + (f", at most ${money.high:.2f} with lost replies" if money.maybe else "")


def status_json(status: Status) -> str:
    """The status for programs, named as in summary.json."""
    money = status.history.lost_money()
    return orjson.dumps(
        {
            "schema_version": 1,
            "state": status.state,
            "out": str(status.folder),
            "samples": {"asked": status.asked, **{name: status.counts[name] for name in OUTCOMES}},
            "attempts": status.history.attempts,
            "refused_429": status.history.refused_429,
            "cost_usd": round(money.spent, 6),
            "cost_low_usd": round(money.spent, 6),
            "cost_high_usd": round(money.high, 6),
        },
        option=orjson.OPT_INDENT_2,
    ).decode()
