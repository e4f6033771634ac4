"""Counts the manifest's rows as they stream by, and builds the summary."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from imagen_batch.ledger.costs import Cost
from imagen_batch.planning.book_shapes import Shapes, read_shapes
from imagen_batch.records import OUTCOMES, ManifestRow, Outcome
from imagen_batch.reports.add_review_columns import redo_status
from imagen_batch.reports.causes import FailureGroups
from imagen_batch.reports.counters.cost_breakdown import Breakdown
from imagen_batch.reports.counters.disclosure_sentences import DisclosureCounter
from imagen_batch.reports.counters.first_images import ImageList
from imagen_batch.reports.counters.lists_of_image_facts import ImageFacts
from imagen_batch.reports.counters.print_resolution import PrintQuality
from imagen_batch.reports.counters.short_rows import Acceptance
from imagen_batch.reports.image_warnings import in_known_order
from imagen_batch.reports.next_steps import BEYOND_LIMIT, Continuation, next_step, next_steps
from imagen_batch.reports.summary.facts import RunFacts, stop_reason_of
from imagen_batch.reports.summary.state_and_exit_code import exit_code, state_of
from imagen_batch.reports.summary.summary import Summary
from imagen_batch.settings import Settings

if TYPE_CHECKING:
    from imagen_batch.reports.image_blocks.block import Block

_LEFT_OUT = (BEYOND_LIMIT, "not_named", "reference_refused", "reference_failed", "reference_unapproved")


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
        self._without_file = 0  # of those that are ok
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

    @classmethod
    def of_run(cls, settings: Settings, *, since: float | None = None, group_by: str | None = None) -> SummaryBuilder:
        """Return the builder for a run with these settings. `group_by` is a column, by default that of the run."""
        return cls(
            group_by=group_by or settings.group_by,
            since=since,
            shapes=read_shapes(settings),
            accept=settings.accept,
        )

    @property
    def ok(self) -> int:
        """How many samples have an image."""
        return self._counts["ok"]

    @property
    def files(self) -> int:
        """How many samples have an image whose file is in the folder: those of rejected images may be deleted."""
        return self._counts["ok"] - self._without_file

    def add(self, entry: ManifestRow) -> None:
        """Count the next row, in input order."""
        sample = entry.sample
        for counter in (self._breakdown, self._disclosure, self._images):
            counter.add(entry)
        self._counts[sample.status] += 1
        self._without_file += sample.status == "ok" and sample.file is None
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

    def add_block(self, block: Block) -> None:
        """Count the next rows, in input order; the same as adding each of them."""
        for images, entry in block.stretches():
            if len(images):
                self._add_images(images)
            if entry is not None:
                self.add(entry)

    def _add_images(self, images: ImageFacts) -> None:
        for counter in (self._breakdown, self._disclosure, self._images, self._prints):
            counter.add_images(images)
        if self._acceptance is not None:
            self._acceptance.add_images(images)
        self._counts["ok"] += len(images)
        for row, key, attempts in zip(images.rows.numbers, images.keys, images.attempts, strict=True):
            self._add_attempts(row, key, attempts)
        for cost, cost_is in zip(images.recorded_costs, images.cost_is, strict=True):
            if cost_is == "unknown":
                self._money.add_possible(cost)
            elif cost:
                self._money.spent += cost
                self._estimated |= cost_is == "estimate"

    def build(self, facts: RunFacts) -> Summary:
        """Return the summary of the rows so far."""
        counts: dict[Outcome, int] = {outcome: self._counts[outcome] for outcome in OUTCOMES}
        money = facts.money or self._money
        short = () if self._acceptance is None else self._acceptance.short_rows()
        missing = self._open_redos + (
            sum(counts.values()) - counts["ok"] if self._acceptance is None else sum(row.missing for row in short)
        )
        reason = stop_reason_of(facts, missing)
        stopped_for = reason.cause if reason else None
        run = facts.run or Continuation(facts.out)
        # During a run, samples that have not been attempted yet need no reason and no next step.
        groups = [group for group in self._causes.ranked() if not (facts.running and group.status == "not_attempted")]
        return Summary(
            state="running" if facts.running else state_of(counts, reason, left_out=self._left_out, missing=missing),
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
        if self._add_attempts(entry.row.row, entry.trace.key, entry.trace.attempts):
            self._lost += entry.sample.cost_is == "unknown" and entry.sample.status != "ok"

    def _add_attempts(self, row: int, key: str, attempts: int) -> bool:
        """Count the attempts of a request, and return True, unless they were counted for another of its samples."""
        if row != self._row:
            self._row = row
            self._keys.clear()
        elif key in self._keys:
            return False
        self._keys.add(key)
        self._attempts += attempts
        return True


def _rounded(usd: float) -> float:
    """Return the amount without the rounding errors of adding many small floats."""
    return round(usd, 6)
