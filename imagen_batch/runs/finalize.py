"""Writes the results of a finished run: the tables, summary.json and summary.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

from imagen_batch.errors import storage_failure
from imagen_batch.ledger.costs import Charges
from imagen_batch.ledger.history import History
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import Outcome
from imagen_batch.reports.facts_for_next_steps import make_continuation
from imagen_batch.reports.image_blocks.block import Block
from imagen_batch.reports.image_blocks.read_blocks import read_blocks
from imagen_batch.reports.manifest_rows import Results
from imagen_batch.reports.render import to_json_text, to_markdown
from imagen_batch.reports.summary import RunFacts, Summary, SummaryBuilder
from imagen_batch.reports.tables.edited_failures import protect_edits, remember_written
from imagen_batch.reports.tables.write import TableWriter
from imagen_batch.reports.tables.write_without_raising import (
    TableFile,
    UnwrittenFile,
    alternate_name,
    can_use_alternate,
    describe_error,
    remove_alternates,
)
from imagen_batch.runs.stop_reasons import budget_stop_reason, stop_reason
from imagen_batch.sending.context import SendingContext
from imagen_batch.storage import LEDGER, Storage

_SUMMARIES: tuple[tuple[str, Callable[[Summary], str]], ...] = (
    ("summary.md", to_markdown),
    ("summary.json", to_json_text),
)
_IN_PLACE: Mapping[str, str | None] = {name: name for name, _ in _SUMMARIES}


class WritePage(Protocol):
    """Writes the page that shows the tables' images; returns whether it succeeded. Raises nothing."""

    def __call__(self, storage: Storage, *, has_reviews: bool) -> bool:
        """Write the page. `has_reviews` is whether the ledger has decisions about images."""


def finalize(
    plan: RunPlan,
    context: SendingContext,
    history: History,
    *,
    started: datetime,
    began: tuple[int, Charges] | None = None,
    write_page: WritePage | None = None,
) -> Summary:
    """Write tables and summary from the ledger on disk; returns the summary.

    `history` is the ledger as it was last read; new records are read here. `began` are the attempts and charges when
    the run began. `write_page` is called once the tables are in place. A file that can't be written does not prevent
    the others; the summary names it.
    """
    storage, since = context.store.storage, started.timestamp()
    try:
        history.read_folder(storage.logs(LEDGER))
    except OSError as error:  # the store is unreachable: report what was read before
        context.stop.fail(storage_failure(error))
    results = Results(plan, history, storage, _pending_outcome(context))
    unwritten: tuple[UnwrittenFile, ...] = ()
    try:
        builder, unwritten = write_tables(results, since=since)
    except OSError as error:  # report the figures even where no table can be written
        context.stop.fail(storage_failure(error))
        write_page = None  # it would show the images of an earlier manifest
        builder = _count_rows(results, since=since)
    is_current = all(file.name != "manifest.parquet" for file in unwritten)
    has_gallery = write_page is not None and is_current and write_page(storage, has_reviews=bool(history.reviews))
    facts = _run_facts(plan, context, history, started=started, began=began)
    older_images = count_older_images(history, storage, shown=builder.files)
    facts = replace(facts, older_images=older_images, has_gallery=has_gallery, unwritten=unwritten)
    return write_summary(builder, facts, storage)


def _pending_outcome(context: SendingContext) -> Outcome:
    """Return the outcome of samples that were not sent."""
    return "skipped_budget" if context.budget.is_exhausted and not context.stop.is_set else "not_attempted"


def _count_rows(results: Results, *, since: float) -> SummaryBuilder:
    builder = SummaryBuilder.of_run(results.plan.settings, since=since)
    for row in results.recorded_rows():
        builder.add(row)
    return builder


def _run_facts(
    plan: RunPlan, context: SendingContext, history: History, *, started: datetime, began: tuple[int, Charges] | None
) -> RunFacts:
    provider = plan.settings.provider
    facts = RunFacts.from_ledger(
        history,
        out=context.store.storage.location,
        provider=provider,
        started_at=started,
        finished_at=datetime.now(UTC),
    )
    return replace(
        facts,
        run=make_continuation(plan, history),
        stop_reason=stop_reason(context.stop) or budget_stop_reason(context.budget, plan.settings, history),
        warnings=tuple(plan.warnings),
        run_usd=None if began is None else history.charges(provider).cost.spent - began[1].cost.spent,
        run_attempts=None if began is None else history.attempts - began[0],
    )


def count_older_images(history: History, storage: Storage, *, shown: int) -> int:
    """Count the recorded images in the folder that belong to no sample of this input; `shown` files belong to one."""
    recorded = max(0, history.images_recorded - shown)
    if not recorded:
        return 0
    try:
        existing = sum(1 for _ in storage.sizes("images"))
    except OSError:
        return recorded
    return min(recorded, max(0, existing - shown))


def write_tables(results: Results, *, since: float | None = None) -> tuple[SummaryBuilder, tuple[UnwrittenFile, ...]]:
    """Write the tables and count their rows. Tables that fail are tried once more, under another name or alone.

    `since` is when this run began, in seconds since the epoch.
    """
    protect_edits(results.storage)
    builder = SummaryBuilder.of_run(results.plan.settings, since=since)
    tables = _fill_tables(results, builder.add_block)
    unwritten = {file.name: file for file in tables.unwritten}
    for targets in tables.further_attempts:
        failed = {file.name for file in _fill_tables(results, targets=targets).unwritten}
        for name, target in targets.items():
            if name in failed:
                continue
            if target == name:
                del unwritten[name]
            else:
                unwritten[name] = replace(unwritten[name], alternate=target)
    if "failures.csv" not in unwritten:
        remember_written(results.storage)
    return builder, tuple(unwritten.values())


def _fill_tables(
    results: Results,
    count: Callable[[Block], None] = lambda _block: None,
    *,
    targets: Mapping[str, str] | None = None,
) -> TableWriter:
    file = results.plan.file
    tables = TableWriter(
        results.storage,
        user_columns=results.plan.user_columns,
        columns=file.columns,
        provider=results.plan.settings.provider,
        targets=targets,
    )
    with tables:
        for block in read_blocks(results, tables.columns):
            tables.add_block(block)
            count(block)
    return tables


def write_summary(builder: SummaryBuilder, facts: RunFacts, storage: Storage) -> Summary:
    """Write both forms of the summary. Where one can't be written, both are written again and say so."""
    summary = builder.build(facts)
    unwritten = _write_summaries(summary, storage)
    if not unwritten:
        remove_alternates(storage, (name for name, _ in _SUMMARIES))
        return summary
    summary = builder.build(replace(facts, unwritten=(*facts.unwritten, *unwritten)))
    targets = dict(_IN_PLACE) | {file.name: file.alternate for file in unwritten}
    _write_summaries(summary, storage, targets)
    return summary


def _write_summaries(
    summary: Summary, storage: Storage, targets: Mapping[str, str | None] = _IN_PLACE
) -> tuple[UnwrittenFile, ...]:
    """Write both forms to their `targets` (None: nowhere). Returns those that could not be written there."""
    unwritten: list[UnwrittenFile] = []
    for name, render in _SUMMARIES:
        content = render(summary).encode("utf-8", "backslashreplace")
        target = targets[name]
        error = _write(storage, target, content) if target else None
        if error is None:
            continue
        saved = can_use_alternate(error) and _write(storage, alternate_name(name), content) is None
        alternate = alternate_name(name) if saved else None
        unwritten.append(UnwrittenFile(name, describe_error(error), alternate, error.errno))
    return tuple(unwritten)


def _write(storage: Storage, name: str, content: bytes) -> OSError | None:
    file = TableFile(storage, name)
    file.write(content)
    file.finish()
    return file.error
