"""Sums up a run: how many images were made, why others are missing, what it cost, and what to do next.

`SummaryBuilder` counts the manifest's rows as they stream by and builds the `Summary`; `render.py` prints it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from imagen_batch.ledger.costs import Cost
from imagen_batch.ledger.history import History
from imagen_batch.planning.shapes import Shapes
from imagen_batch.records import OUTCOMES, ManifestRow, Outcome
from imagen_batch.reports.acceptance import Acceptance, ShortRow
from imagen_batch.reports.breakdown import Breakdown, Share
from imagen_batch.reports.causes import FailureGroup, FailureGroups
from imagen_batch.reports.disclosure import Disclosure, DisclosureCounter
from imagen_batch.reports.image_list import ImageList, ListedRow
from imagen_batch.reports.image_warnings import in_known_order
from imagen_batch.reports.next_steps import BEYOND_LIMIT, Continuation, NextStep, next_step, next_steps
from imagen_batch.reports.print_quality import PrintQuality, ShapePrint
from imagen_batch.reports.reviewed_rows import redo_status
from imagen_batch.reports.tables.table_file import UnwrittenFile, describe_unwritten

State = Literal[
    "running",  # reported by `status` during the run
    "finished",  # every sample was attempted
    "unfinished",  # some were not, for no recorded reason: the process was killed
    "budget",  # a limit left some out
    "paused",  # daily quota, outage: the same command continues later
    "stopped",  # something has to be fixed first
    "interrupted",  # by a signal
]


@dataclass(frozen=True, slots=True)
class StopReason:
    """What ended a run before every sample was attempted."""

    state: State
    exit_code: int
    message: str  # a sentence
    cause: str | None = None  # "auth", "billing", "model_gone", "quota_day", "outage", "disk"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the manifest's rows do not contain. A figure that is None is taken from the rows."""

    out: str  # the folder as the user wrote it
    started_at: datetime
    finished_at: datetime | None  # None: the run is going on, or was killed
    stop_reason: StopReason | None = None
    provider: str | None = None
    attempts: int | None = None
    refused_429: int = 0
    money: Cost | None = None  # the ledger's, which includes failed attempts that a later one made up for
    running: bool = False
    older_images: int = 0  # images in the folder that no row of this input requests
    warnings: tuple[str, ...] = ()  # about the input, as they were shown before anything was sent
    run: Continuation | None = None  # what suggested commands are built from; None: from the folder alone
    lost_attempts: int | None = None  # attempts that may have been charged and brought nothing
    run_usd: float | None = None  # what this run alone was charged
    run_attempts: int | None = None
    has_gallery: bool = False  # gallery.html was written
    unwritten: tuple[UnwrittenFile, ...] = ()  # tables that could not be written in place

    @classmethod
    def from_ledger(
        cls, history: History, *, out: str, provider: str, started_at: datetime, finished_at: datetime | None
    ) -> RunFacts:
        """The facts that the ledger has, about all runs in the folder."""
        charges = history.charges(provider)
        return cls(
            out=out,
            started_at=started_at,
            finished_at=finished_at,
            provider=provider,
            attempts=history.attempts,
            refused_429=history.refused_429,
            money=charges.cost,
            lost_attempts=charges.lost_attempts,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """The run in figures. Money is in USD; None where it is not known."""

    state: State
    exit_code: int
    facts: RunFacts
    counts: Mapping[Outcome, int]  # samples, by every outcome
    attempts: int
    cost_usd: float | None
    cost_low_usd: float
    cost_high_usd: float | None
    estimated: bool  # part of the cost is a list price, not what the service counted
    lost_attempts: int  # attempts whose reply was lost
    unpriced: int
    causes: tuple[tuple[FailureGroup, NextStep], ...]  # each with its own next step
    next_steps: tuple[NextStep, ...] = ()  # the same, with one step for all groups that have the same remedy
    image_warnings: Mapping[str, int] = field(default_factory=dict)  # images by what was not requested about them
    in_flight: int = 0  # samples that are being made, counted among those not attempted
    open_redos: int = 0  # images whose redo brought no image; the earlier image stays
    prints: tuple[ShapePrint, ...] = ()  # how fine the images of each shape print
    missing: int = 0  # images and redos that are missing; with --accept those short of the wanted number
    short: tuple[ShortRow, ...] = ()  # rows with fewer usable images than --accept wants
    earlier_usd: float = 0.0  # part of the cost that belongs to no row of this input

    models: tuple[Share, ...] = ()
    group_by: str | None = None
    groups: tuple[Share, ...] = ()  # the values of the column `group_by`
    disclosure: Disclosure = field(default_factory=Disclosure)
    listed_rows: tuple[ListedRow, ...] = ()  # the first ones
    further_rows: int = 0

    @property
    def asked(self) -> int:
        """How many samples the input requests."""
        return sum(self.counts.values())

    @property
    def notices(self) -> tuple[str, ...]:
        """What there is to know about models that end soon, one sentence each."""
        return self.facts.run.notices if self.facts.run else ()

    @property
    def stopped_by(self) -> str | None:
        """What ended the run early, in a sentence."""
        reason = _stop_reason(self.facts, self.missing)
        return reason.message if reason else None


class SummaryBuilder:
    """Counts the manifest's rows. Memory grows neither with their number nor with that of their messages.

    `since` is when this run began, in seconds since the epoch; None where no run is reported.
    """

    def __init__(
        self,
        *,
        group_by: str | None = None,
        since: float | None = None,
        shapes: Shapes | None = None,
        accept: int | None = None,
    ) -> None:
        self._acceptance = None if accept is None else Acceptance(accept)
        self._prints = PrintQuality(shapes or Shapes())
        self._breakdown = Breakdown(group_by=group_by, since=since)
        self._disclosure = DisclosureCounter()
        self._images = ImageList()

        self._counts: Counter[str] = Counter()
        self._causes = FailureGroups()
        self._money = Cost()
        self._estimated = False
        self._attempts = 0
        self._lost = 0
        self._left_out = 0  # samples that this run was not to make
        self._in_flight = 0
        self._image_warnings: Counter[str] = Counter()
        self._open_redos = 0  # images whose redo brought no image
        self._row = 0
        self._keys: set[str] = set()  # requests of the current row

    @property
    def ok(self) -> int:
        """How many samples have an image."""
        return self._counts["ok"]

    def add(self, entry: ManifestRow) -> None:
        """Count the next row, in input order."""
        sample = entry.sample
        for counter in (self._breakdown, self._disclosure, self._images):
            counter.add(entry)
        self._counts[sample.status] += 1
        if sample.warnings:
            self._image_warnings.update(sample.warnings)
        self._prints.add(entry)
        if self._acceptance is not None:
            self._acceptance.add(entry)
        if sample.error_kind == "in_flight":
            self._in_flight += 1
        elif (status := redo_status(sample)) is not None:
            self._open_redos += 1
            self._causes.add(replace(entry, sample=replace(sample, status=status)))
        elif sample.status != "ok" and not entry.replaced:
            self._causes.add(entry)
            self._left_out += sample.error_kind in _LEFT_OUT
        self._add_request(entry)
        if sample.cost_is == "unknown":
            self._money.add_possible(sample.cost_usd)
        if entry.cost_usd:
            self._money.spent += entry.cost_usd
            self._estimated |= sample.cost_is == "estimate"

    def build(self, facts: RunFacts) -> Summary:
        """The summary of the rows so far."""
        counts: dict[Outcome, int] = {outcome: self._counts[outcome] for outcome in OUTCOMES}
        money = facts.money or self._money
        short = () if self._acceptance is None else self._acceptance.short_rows()
        missing = self._open_redos + (
            sum(counts.values()) - counts["ok"] if self._acceptance is None else sum(row.missing for row in short)
        )
        reason = _stop_reason(facts, missing)
        stopped_for = reason.cause if reason else None
        run = facts.run or Continuation(facts.out)
        # During a run, samples that have not been attempted yet need no reason and no next step.
        groups = [group for group in self._causes.ranked() if not (facts.running and group.status == "not_attempted")]
        return Summary(
            state="running" if facts.running else _state(counts, reason, left_out=self._left_out, missing=missing),
            exit_code=exit_code(counts, reason, missing=missing),
            facts=facts,
            counts=counts,
            attempts=self._attempts if facts.attempts is None else facts.attempts,
            cost_usd=None if money.unpriced and not money.spent else _rounded(money.spent),
            cost_low_usd=_rounded(money.spent),
            cost_high_usd=None if money.unpriced else _rounded(money.upper_bound),
            estimated=self._estimated,
            lost_attempts=self._lost if facts.lost_attempts is None else facts.lost_attempts,
            unpriced=money.unpriced,
            causes=tuple((group, next_step(group, run=run, stopped_for=stopped_for)) for group in groups),
            next_steps=next_steps(groups, run=run, stopped_for=stopped_for),
            image_warnings=in_known_order(self._image_warnings),
            in_flight=self._in_flight,
            open_redos=self._open_redos,
            prints=tuple(self._prints.shapes()),
            missing=missing,
            short=short,
            earlier_usd=max(0.0, _rounded(_rounded(money.spent) - _rounded(self._money.spent))),
            models=self._breakdown.models,
            group_by=self._breakdown.group_by,
            groups=self._breakdown.groups,
            disclosure=self._disclosure.build(),
            listed_rows=tuple(self._images.rows),
            further_rows=self._images.further,
        )

    def _add_request(self, entry: ManifestRow) -> None:
        """Count the figures of a request once, though each of its samples carries them."""
        row, trace = entry.row.row, entry.trace
        if row != self._row:
            self._row = row
            self._keys.clear()
        if trace.key not in self._keys:
            self._keys.add(trace.key)
            self._attempts += trace.attempts
            self._lost += entry.sample.cost_is == "unknown" and entry.sample.status != "ok"


def exit_code(counts: Mapping[Outcome, int], reason: StopReason | None, *, missing: int | None = None) -> int:
    """0 every sample ok, 3 some without an image, 4 no image at all, 6 the budget; else the code of `reason`.

    `missing` counts what is not there, by default the samples without an image. A redo that brought no image counts
    as missing; a sample that --accept replaced does not.
    """
    if missing is None:
        missing = sum(counts.values()) - counts["ok"]
    if not missing and not _stopped_by_error(reason):
        return 0
    if reason is not None:
        return reason.exit_code
    if counts["skipped_budget"]:
        return 6
    return 3 if counts["ok"] else 4


def _stop_reason(facts: RunFacts, missing: int) -> StopReason | None:
    """What ended the run. Tables that could not be written count like a full disk, unless something stopped it."""
    if facts.unwritten and (facts.stop_reason is None or (not missing and not _stopped_by_error(facts.stop_reason))):
        return StopReason("paused", RETRY_LATER, _UNWRITTEN.format(describe_unwritten(facts.unwritten)), "disk")
    return facts.stop_reason


def _stopped_by_error(reason: StopReason | None) -> bool:
    """Whether the reason matters even where every image was made; a Ctrl-C after the last one does not."""
    return reason is not None and reason.state not in ("interrupted", "budget") and reason.cause != "time"


def _state(counts: Mapping[Outcome, int], reason: StopReason | None, *, left_out: int = 0, missing: int) -> State:
    if not missing and not _stopped_by_error(reason):
        return "finished"
    if reason is not None:
        return reason.state
    if counts["skipped_budget"]:
        return "budget"
    return "unfinished" if counts["not_attempted"] > left_out else "finished"


def _rounded(usd: float) -> float:
    """The amount without the rounding errors of adding many small floats."""
    return round(usd, 6)


RETRY_LATER = 75
"""The exit code of a run that the same command continues later."""

_LEFT_OUT = (BEYOND_LIMIT, "not_named", "reference_refused", "reference_failed", "reference_unapproved")
_UNWRITTEN = "{}. Run the same command again once that is fixed; nothing is paid for twice."
