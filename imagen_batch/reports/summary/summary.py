"""The run in figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagen_batch.records import Outcome
from imagen_batch.reports.causes import FailureGroup
from imagen_batch.reports.counters.cost_breakdown import Share
from imagen_batch.reports.counters.disclosure_sentences import Disclosure
from imagen_batch.reports.counters.first_images import ListedRow
from imagen_batch.reports.counters.print_resolution import ShapePrint
from imagen_batch.reports.counters.short_rows import ShortRow
from imagen_batch.reports.next_steps import NextStep
from imagen_batch.reports.summary.facts import RunFacts, State, stop_reason_of


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
    def notices(self) -> tuple[str, ...]:
        """What there is to know about models that end soon, one sentence each."""
        return self.facts.run.notices if self.facts.run else ()

    @property
    def asked(self) -> int:
        """How many samples the input requests."""
        return sum(self.counts.values())

    @property
    def stopped_by(self) -> str | None:
        """What ended the run early, in a sentence."""
        reason = stop_reason_of(self.facts, self.missing)
        return reason.message if reason else None
