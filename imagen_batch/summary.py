"""How did a run end: how many pictures, why not the others, for how much money, and what comes next?

`Tally` counts entries as they stream by and makes the `Summary`; `report.py` tells it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from imagen_batch.advice import BEYOND_LIMIT, Advice, Continuation, advice
from imagen_batch.causes import Cause, Causes
from imagen_batch.money import Money
from imagen_batch.records import OUTCOMES, Entry, Outcome
from imagen_batch.stopping import Stop

State = Literal[
    "running",  # told by `status` while the run goes on
    "finished",  # every sample had its turn
    "unfinished",  # some had not, and nothing says why: the process was killed
    "budget",  # the limit left some out
    "paused",  # daily quota, outage: the same command later goes on
    "stopped",  # something has to be mended first
    "interrupted",  # by a signal
]


@dataclass(frozen=True, slots=True)
class Ending:
    """What ended a run before every sample had its turn."""

    state: State
    exit_code: int
    message: str
    cause: str | None = None  # "auth", "billing", "model_gone", "quota_day", "outage", "disk"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the entries do not tell. None for a figure: it is taken from the entries."""

    out: str  # the folder as the user wrote it
    command: str  # what the user typed; advice is built from it
    started_at: datetime
    finished_at: datetime
    ending: Ending | None = None
    provider: str | None = None
    attempts: int | None = None
    refused_429: int = 0
    money: Money | None = None  # the ledger's, which also knows of attempts that a later one made good
    running: bool = False
    elsewhere: int = 0  # pictures in the folder that no row of this input asks for
    warnings: tuple[str, ...] = ()  # about the input, as they were shown before anything was sent
    run: Continuation | None = None  # what suggested commands are made of; None: of the folder alone


@dataclass(frozen=True, slots=True)
class Summary:
    """The run in figures. Money is in USD; None where it can't be told."""

    state: State
    exit_code: int
    facts: Facts
    counts: Mapping[Outcome, int]  # samples, by every outcome
    attempts: int
    cost_usd: float | None
    cost_low_usd: float
    cost_high_usd: float | None
    estimated: bool  # part of the cost is a list price, not what the service counted
    lost: int  # requests whose reply was lost, as far as entries tell
    unpriced: int
    causes: tuple[tuple[Cause, Advice], ...]  # each with its advice

    @property
    def asked(self) -> int:
        """How many samples the run was asked for."""
        return sum(self.counts.values())

    @property
    def stopped_by(self) -> str | None:
        """What ended the run early, in a sentence."""
        return self.facts.ending.message if self.facts.ending else None


class Tally:
    """Counts entries. Memory grows neither with their number nor with that of their messages."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._causes = Causes()
        self._money = Money()
        self._estimated = False
        self._attempts = 0
        self._lost = 0
        self._left_out = 0  # samples that the run was not asked for
        self._row = 0
        self._keys: set[str] = set()  # requests of the current row

    def add(self, entry: Entry) -> None:
        """The next entry, in input order."""
        sample = entry.sample
        self._counts[sample.status] += 1
        if sample.status != "ok":
            self._causes.add(entry)
            self._left_out += sample.error_kind in _NOT_ASKED_FOR
        self._add_request(entry)
        if sample.cost_is == "unknown":
            self._money.add_maybe(sample.cost_usd)
        elif sample.cost_usd:
            self._money.spent += sample.cost_usd
            self._estimated |= sample.cost_is == "estimate"

    def summary(self, facts: Facts) -> Summary:
        """What the entries so far come to."""
        counts: dict[Outcome, int] = {outcome: self._counts[outcome] for outcome in OUTCOMES}
        money = facts.money or self._money
        stopped_for = facts.ending.cause if facts.ending else None
        run = facts.run or Continuation(facts.out)
        return Summary(
            state="running" if facts.running else _state(counts, facts.ending, left_out=self._left_out),
            exit_code=exit_code(counts, facts.ending),
            facts=facts,
            counts=counts,
            attempts=self._attempts if facts.attempts is None else facts.attempts,
            cost_usd=None if money.unpriced and not money.spent else _rounded(money.spent),
            cost_low_usd=_rounded(money.spent),
            cost_high_usd=None if money.unpriced else _rounded(money.high),
            estimated=self._estimated,
            lost=self._lost,
            unpriced=money.unpriced,
            causes=tuple((cause, advice(cause, run=run, stopped_for=stopped_for)) for cause in self._causes.ranked()),
        )

    def _add_request(self, entry: Entry) -> None:
        """Count what belongs to a request once, though each of its samples tells it."""
        row, trace = entry.row.row, entry.trace
        if row != self._row:
            self._row = row
            self._keys.clear()
        if trace.key not in self._keys:
            self._keys.add(trace.key)
            self._attempts += trace.attempts
            self._lost += entry.sample.cost_is == "unknown" and entry.sample.status != "ok"


def ending(stop: Stop) -> Ending | None:
    """What a run's stop means for its summary; None when it was never set."""
    if stop.signal is not None:
        return Ending("interrupted", 128 + stop.signal, "interrupted; run the same command to continue")
    if stop.fatal is not None:
        state: State = "paused" if stop.fatal.exit_code == _COME_BACK else "stopped"
        message = str(stop.fatal)
        if stop.fatal.resets_at is not None:
            message += f"; it begins anew at {stop.fatal.resets_at.astimezone():%Y-%m-%d %H:%M %Z}"
        return Ending(state, stop.fatal.exit_code, message, cause=stop.fatal.outcome)
    return None


def exit_code(counts: Mapping[Outcome, int], ending: Ending | None) -> int:
    """0 every sample ok, 3 some without a picture, 4 none at all, 6 the budget; else what ended the run."""
    if counts["ok"] == sum(counts.values()):
        return 0
    if ending is not None:
        return ending.exit_code
    if counts["skipped_budget"]:
        return 6
    return 3 if counts["ok"] else 4


def _state(counts: Mapping[Outcome, int], ending: Ending | None, *, left_out: int = 0) -> State:
    if counts["ok"] == sum(counts.values()):
        return "finished"
    if ending is not None:
        return ending.state
    if counts["skipped_budget"]:
        return "budget"
    return "unfinished" if counts["not_attempted"] > left_out else "finished"


def _rounded(usd: float) -> float:
    """Without the noise that adding many small floats leaves behind."""
    return round(usd, 6)


_COME_BACK = 75
_NOT_ASKED_FOR = (BEYOND_LIMIT, "not_named")
