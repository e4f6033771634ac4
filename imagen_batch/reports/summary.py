"""How a run ended: how many pictures, why not the others, for how much money, and what comes next.

`SummaryBuilder` counts entries as they stream by and makes the `Summary`; `report.py` tells it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from imagen_batch.ledger.costs import Cost
from imagen_batch.records import OUTCOMES, ManifestRow, Outcome
from imagen_batch.reports.causes import FailureGroup, FailureGroups
from imagen_batch.reports.next_steps import BEYOND_LIMIT, Continuation, NextStep, next_step
from imagen_batch.reports.table_file import Unwritten, unwritten_text

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
class StopReason:
    """What ended a run before every sample had its turn."""

    state: State
    exit_code: int
    message: str  # a sentence
    cause: str | None = None  # "auth", "billing", "model_gone", "quota_day", "outage", "disk"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the entries do not tell. None for a figure: it is taken from the entries."""

    out: str  # the folder as the user wrote it
    command: str  # what the user typed; advice is built from it
    started_at: datetime
    finished_at: datetime | None  # None: it is running, or was killed
    ending: StopReason | None = None
    provider: str | None = None
    attempts: int | None = None
    refused_429: int = 0
    money: Cost | None = None  # the ledger's, which also knows of attempts that a later one made good
    running: bool = False
    elsewhere: int = 0  # pictures in the folder that no row of this input asks for
    warnings: tuple[str, ...] = ()  # about the input, as they were shown before anything was sent
    run: Continuation | None = None  # what suggested commands are made of; None: of the folder alone
    lost_attempts: int | None = None  # that may have been charged, and brought nothing
    run_usd: float | None = None  # what this run alone was charged
    run_attempts: int | None = None
    unwritten: tuple[Unwritten, ...] = ()  # tables that are not in their places


@dataclass(frozen=True, slots=True)
class Summary:
    """The run in figures. Money is in USD; None where it can't be told."""

    state: State
    exit_code: int
    facts: RunFacts
    counts: Mapping[Outcome, int]  # samples, by every outcome
    attempts: int
    cost_usd: float | None
    cost_low_usd: float
    cost_high_usd: float | None
    estimated: bool  # part of the cost is a list price, not what the service counted
    lost: int  # attempts whose reply was lost
    unpriced: int
    causes: tuple[tuple[FailureGroup, NextStep], ...]  # each with its advice
    in_flight: int = 0  # samples that are being made, counted among those not attempted
    earlier_usd: float = 0.0  # part of the cost that belongs to no row of this input

    @property
    def asked(self) -> int:
        """How many samples the run was asked for."""
        return sum(self.counts.values())

    @property
    def stopped_by(self) -> str | None:
        """What ended the run early, in a sentence."""
        ended = _ending(self.facts, self.counts)
        return ended.message if ended else None


class SummaryBuilder:
    """Counts entries. Memory grows neither with their number nor with that of their messages."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._causes = FailureGroups()
        self._money = Cost()
        self._estimated = False
        self._attempts = 0
        self._lost = 0
        self._left_out = 0  # samples that the run was not asked for
        self._in_flight = 0
        self._row = 0
        self._keys: set[str] = set()  # requests of the current row

    @property
    def ok(self) -> int:
        """Samples with a picture."""
        return self._counts["ok"]

    def add(self, entry: ManifestRow) -> None:
        """The next entry, in input order."""
        sample = entry.sample
        self._counts[sample.status] += 1
        if sample.error_kind == "in_flight":
            self._in_flight += 1
        elif sample.status != "ok":
            self._causes.add(entry)
            self._left_out += sample.error_kind in _NOT_ASKED_FOR
        self._add_request(entry)
        if sample.cost_is == "unknown":
            self._money.add_maybe(sample.cost_usd)
        if entry.cost_usd:
            self._money.spent += entry.cost_usd
            self._estimated |= sample.cost_is == "estimate"

    def summary(self, facts: RunFacts) -> Summary:
        """What the entries so far come to."""
        counts: dict[Outcome, int] = {outcome: self._counts[outcome] for outcome in OUTCOMES}
        money = facts.money or self._money
        ended = _ending(facts, counts)
        stopped_for = ended.cause if ended else None
        run = facts.run or Continuation(facts.out)
        # While a run goes on, what it has not come to yet needs no reason and no advice.
        causes = (cause for cause in self._causes.ranked() if not (facts.running and cause.status == "not_attempted"))
        return Summary(
            state="running" if facts.running else _state(counts, ended, left_out=self._left_out),
            exit_code=exit_code(counts, ended),
            facts=facts,
            counts=counts,
            attempts=self._attempts if facts.attempts is None else facts.attempts,
            cost_usd=None if money.unpriced and not money.spent else _rounded(money.spent),
            cost_low_usd=_rounded(money.spent),
            cost_high_usd=None if money.unpriced else _rounded(money.high),
            estimated=self._estimated,
            lost=self._lost if facts.lost_attempts is None else facts.lost_attempts,
            unpriced=money.unpriced,
            causes=tuple((cause, next_step(cause, run=run, stopped_for=stopped_for)) for cause in causes),
            in_flight=self._in_flight,
            earlier_usd=max(0.0, _rounded(_rounded(money.spent) - _rounded(self._money.spent))),
        )

    def _add_request(self, entry: ManifestRow) -> None:
        """Count what belongs to a request once, though each of its samples tells it."""
        row, trace = entry.row.row, entry.trace
        if row != self._row:
            self._row = row
            self._keys.clear()
        if trace.key not in self._keys:
            self._keys.add(trace.key)
            self._attempts += trace.attempts
            self._lost += entry.sample.cost_is == "unknown" and entry.sample.status != "ok"


def exit_code(counts: Mapping[Outcome, int], ending: StopReason | None) -> int:
    """0 every sample ok, 3 some without a picture, 4 none at all, 6 the budget; else what ended the run."""
    if counts["ok"] == sum(counts.values()) and not _stopped_by_error(ending):
        return 0
    if ending is not None:
        return ending.exit_code
    if counts["skipped_budget"]:
        return 6
    return 3 if counts["ok"] else 4


def _ending(facts: RunFacts, counts: Mapping[Outcome, int]) -> StopReason | None:
    """What ended the run. Tables that are not there count like a full disk, unless something else came before."""
    complete = counts["ok"] == sum(counts.values())
    if facts.unwritten and (facts.ending is None or (complete and not _stopped_by_error(facts.ending))):
        return StopReason("paused", _COME_BACK, _UNWRITTEN.format(unwritten_text(facts.unwritten)), "disk")
    return facts.ending


def _stopped_by_error(ending: StopReason | None) -> bool:
    """Whether it matters even where every sample is there; a Ctrl-C after the last picture does not."""
    return ending is not None and ending.state not in ("interrupted", "budget")


def _state(counts: Mapping[Outcome, int], ending: StopReason | None, *, left_out: int = 0) -> State:
    if counts["ok"] == sum(counts.values()) and not _stopped_by_error(ending):
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
_UNWRITTEN = "{}. Run the same command again once that is fixed; nothing is paid for twice."
