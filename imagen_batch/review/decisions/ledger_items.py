"""Reads the decisions and the other versions of samples, which the gallery shows, from a run's ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from imagen_batch.inputs.stored_input_and_settings import holds_run, reload_plan
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.records import ReviewedVersion
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import RequestTrace, SampleResult
from imagen_batch.review.decisions.decisions_to_ledger_changes import line_facts
from imagen_batch.review.decisions.list_versions import version_keys
from imagen_batch.review.decisions.record_decisions import read_applied
from imagen_batch.review.gallery_items import EarlierVersion, GalleryItem
from imagen_batch.review.review_csv import Decision
from imagen_batch.storage import LEDGER, Folder


@dataclass(frozen=True, slots=True)
class LedgerItems:
    """Decisions and versions by row and sample number. Samples with one version and no decision are not in it."""

    decisions: tuple[Decision, ...] = ()
    applied: tuple[Decision, ...] = ()  # lines of review.csv that are in the ledger already
    earlier: dict[tuple[int, int], tuple[EarlierVersion, ...]] = field(default_factory=dict)  # oldest first
    newer: dict[tuple[int, int], tuple[SampleResult, RequestTrace, EarlierVersion]] = field(default_factory=dict)
    """Images that are newer than the approved one, which the manifest has."""

    def unapplied(self, lines: Iterable[Decision]) -> list[Decision]:
        """Return the lines of a review.csv that are not in the ledger yet."""
        known = {line_facts(line) for line in self.applied}
        images = {line.image for line in self.applied}
        return [
            line
            for line in lines
            if line_facts(line) not in known and (line.decision is not None or line.image in images)
        ]

    def show_newest(self, item: GalleryItem) -> GalleryItem:
        """Return the item with its newest image, which is the one to decide about, and with its earlier versions."""
        earlier = self.earlier.get((item.row, item.sample), ())
        if (item.row, item.sample) not in self.newer:
            return replace(item, earlier=(*item.earlier, *earlier)) if earlier else item
        sample, trace, version = self.newer[item.row, item.sample]
        return replace(
            item,
            version=version.version,
            file=sample.file,
            sha256=sample.sha256,
            width=sample.width,
            height=sample.height,
            prompt=version.prompt or item.prompt,
            key=trace.key,
            decision=version.decision,
            earlier=earlier,
        )


def read_ledger_items(folder: Path) -> LedgerItems:
    """Read the decisions and versions of a run; none if the folder has no ledger or no decisions."""
    if not holds_run(folder):
        return LedgerItems()
    storage = Folder(folder)
    history = read_history(storage.logs(LEDGER))
    if not history.reviews:
        return LedgerItems()
    plan = reload_plan(folder)
    plan.follow(history)
    items = LedgerItems(tuple(_decisions(plan, history)), tuple(read_applied(storage)))
    for row, base, number, prompt in _samples_with_versions(plan, history):
        _add_versions(items, (row, number), base, prompt, history)
    return items


def _samples_with_versions(plan: RunPlan, history: History) -> Iterator[tuple[int, str, int, str]]:
    """Yield row, row key, number and prompt of version 1 of each sample with further versions."""
    rows = {
        row
        for row, (base, samples) in enumerate(plan.index, 1)
        if any(history.reviews.versions(base, number) for number in range(1, samples + 1))
    }
    for planned in plan.planned_rows() if rows else ():
        row = planned.row.row
        for number in range(1, planned.samples + 1) if row in rows else ():
            base = plan.index.row_key(row)
            if history.reviews.versions(base, number):
                kept = history.kept_first(base, number)
                yield row, base, number, kept["prompt"] if kept else planned.prompt


def _add_versions(items: LedgerItems, sample_id: tuple[int, int], base: str, prompt: str, history: History) -> None:
    number, reviews = sample_id[1], history.reviews
    current = reviews.current(base, number)
    shown = max(1 if current is None else current.version, reviews.newest(base, number))
    earlier: list[EarlierVersion] = []
    versions = [
        (1, base, prompt),
        *((each.version, each.key, each.prompt) for each in reviews.versions(base, number)),
    ]
    for version, key, text in versions:
        details = history.recorded_details(key, number)
        if details is None:
            continue
        item_version = _version(version, text, details[0], reviews.decision(base, number, version))
        if version != shown:
            earlier.append(item_version)
        elif version > (1 if current is None else current.version):
            items.newer[sample_id] = (*details, item_version)
    items.earlier[sample_id] = tuple(earlier)


def _version(version: int, prompt: str, sample: SampleResult, decided: ReviewedVersion | None) -> EarlierVersion:
    return EarlierVersion(
        version=version,
        status=sample.status,
        file=sample.file,
        prompt=prompt,
        sha256=sample.sha256,
        reason=sample.reason or sample.error,
        decision=decided.decision if decided else None,
        note=decided.note if decided else None,
    )


def _decisions(plan: RunPlan, history: History) -> Iterator[Decision]:
    for row, (base, samples) in enumerate(plan.index, 1):
        for number in range(1, samples + 1):
            for version, key in version_keys(base, number, history):
                decided = history.reviews.decision(base, number, version)
                details = history.recorded_details(key, number)
                if decided is not None and details is not None:
                    yield Decision(
                        row=row,
                        sample=number,
                        version=version,
                        key=details[1].key,
                        decision=decided.decision,
                        prompt=decided.prompt,
                        seed=decided.seed,
                        note=decided.note,
                    )
