"""Repairs a run's folder: first everything that costs nothing; then it says what has to be bought again.

The steps are not written down anywhere. Each can be repeated, and each begins with a new audit, so a repair that was
killed is continued by starting it again: no image that is on disk is bought.
"""

from __future__ import annotations

import shlex
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from imagen_batch.audit.audit import audited, unreadable
from imagen_batch.audit.findings import Audit, Finding
from imagen_batch.audit.quarantine import clear_places, keep_copy
from imagen_batch.audit.tables import TABLES, pending_status
from imagen_batch.images.disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.inputs.snapshot import reload_plan
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.reader import damaged_lines, ledger_files, moment_after, skip_record
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.row_index import PendingRow
from imagen_batch.reports.continuation import continuation
from imagen_batch.reports.next_steps import absolute
from imagen_batch.reports.results import Results
from imagen_batch.reports.summary import RunFacts
from imagen_batch.reports.table_file import unwritten_text
from imagen_batch.runs.finalize import older_images, write_summary, write_tables
from imagen_batch.runs.recovery import recover
from imagen_batch.runs.staged_images import recover_staged
from imagen_batch.storage import LEDGER, Storage, open_storage


@dataclass(frozen=True, slots=True)
class Repaired:
    """What is left after everything that costs nothing was done. `lost` are samples to pay for, in input order.

    `usd` is their worst-case price, `spent` what the folder may have cost so far; `unpriced` counts images without
    a known price.
    """

    audit: Audit
    lost: tuple[PendingRow, ...] = ()
    images: int = 0
    usd: float = 0.0
    unpriced: int = 0
    spent: float = 0.0

    def within(self, max_cost: float, price: Callable[[int], float | None]) -> Repaired:
        """As many of the lost samples as can be bought for `max_cost`, in input order."""
        chosen: list[PendingRow] = []
        left = max_cost
        for row, base, numbers in self.lost:
            each = price(row)
            count = 0 if each is None else len(numbers) if not each else min(len(numbers), int(left / each + 1e-9))
            if count:
                chosen.append(PendingRow(row, base, numbers[:count]))
                left -= count * (each or 0.0)
        images = sum(len(lack.numbers) for lack in chosen)
        return Repaired(self.audit, tuple(chosen), images, max_cost - left, 0, self.spent)


def repair(place: str | Path, *, say: Callable[[str], None] = lambda _text: None) -> Repaired:
    """Do everything that costs nothing. Raises FolderBusy, SettingsInvalid, and OSError for a disk in trouble."""
    storage = open_storage(place)
    with storage.locked():
        if any(unreadable(storage)):
            return Repaired(audited(storage))
        _pass_over_damage(storage, say)
        found = audited(storage)
        if not found.needs_repair:
            return Repaired(found)
        clear_places(found, storage)
        _record_what_is_there(storage, say)
        _write_tables(found, storage)
        left = audited(storage)
        return _priced(left, _lost(left), storage)


def _pass_over_damage(storage: Storage, say: Callable[[str], None]) -> None:
    damaged = list(damaged_lines(storage.logs(LEDGER)))
    if not damaged:
        return
    with closing(_writer(storage)) as ledger:
        for damage, line in damaged:
            ledger.skip(skip_record(damage, line))
            say(f"{damage.path.name}, line {damage.line}: passed over from now on ({damage.reason})")


def _writer(storage: Storage) -> LedgerWriter:
    names = (path.name for path in ledger_files(storage.logs(LEDGER)))
    return LedgerWriter(storage, now=moment_after(names, time.time()))


def _record_what_is_there(storage: Storage, say: Callable[[str], None]) -> None:
    """Record images without a record, as a run does when it starts."""
    plan, past = reload_plan(storage.place), read_history(storage.logs(LEDGER))
    store = ImageStore(storage, DiskSpace(storage, in_flight=1))
    with closing(_writer(storage)) as ledger:
        recover_staged(store, past, ledger)
        for message in recover(plan, store, past, ledger).messages():
            say(message)


def _write_tables(found: Audit, storage: Storage) -> None:
    pending = pending_status(storage)
    for name in TABLES:
        if any(one.path == name for one in found.findings):
            keep_copy(name, storage)
    plan, past = reload_plan(storage.place), read_history(storage.logs(LEDGER))
    tally, unwritten = write_tables(Results(plan, past, storage, pending))
    facts = replace(_facts(plan, past, storage, shown=tally.ok), unwritten=unwritten)
    lost = write_summary(tally, facts, storage).facts.unwritten
    if lost:
        raise OSError(lost[0].error_number, unwritten_text(lost))


def _facts(plan: RunPlan, past: History, storage: Storage, *, shown: int) -> RunFacts:
    now = datetime.now(UTC)
    settings, charges = plan.settings, past.charges(plan.settings.provider)
    return RunFacts(
        out=storage.place,
        command=shlex.join(["imagen-batch", "resume", absolute(storage.place)]),
        run=continuation(plan, past),
        started_at=now,
        finished_at=now,
        provider=settings.provider,
        attempts=past.attempts,
        refused_429=past.refused_429,
        warnings=tuple(plan.warnings),
        money=charges.money,
        lost_attempts=charges.lost_attempts,
        elsewhere=older_images(past, storage, shown=shown),
    )


def _lost(audit: Audit) -> list[Finding]:
    return [*audit.lost, *audit.of("paid_undelivered")]


def _priced(audit: Audit, lost: Iterable[Finding], storage: Storage) -> Repaired:
    plan, past = reload_plan(storage.place), read_history(storage.logs(LEDGER))
    lacks = tuple(_lacks(lost, plan))
    usd, unpriced = 0.0, 0
    for row, _, numbers in lacks:
        price = plan.asked.price(row)
        usd += (price or 0.0) * len(numbers)
        unpriced += len(numbers) if price is None else 0
    images = sum(len(lack.numbers) for lack in lacks)
    return Repaired(audit, lacks, images, usd, unpriced, past.cost_bounds(plan.settings.provider).high)


def _lacks(lost: Iterable[Finding], plan: RunPlan) -> Iterator[PendingRow]:
    held = plan.settings.on_unknown == "hold"
    numbers: defaultdict[int, set[int]] = defaultdict(set)
    for one in lost:
        if one.row is not None and one.sample is not None and not (held and one.kind == "paid_undelivered"):
            numbers[one.row].add(one.sample)
    for row in sorted(numbers):
        yield PendingRow(row, plan.asked.base(row), sorted(numbers[row]))
