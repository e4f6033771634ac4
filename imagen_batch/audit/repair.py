"""Repairs a run's folder: does everything that costs nothing, then reports which images have to be made again.

No progress is stored. Each step can be repeated, and each repair begins with a new audit, so a repair that was killed
is continued by starting it again: it never pays for an image that is on disk.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from imagen_batch.audit.audit import audit_storage, snapshot_findings
from imagen_batch.audit.findings import Audit, Finding
from imagen_batch.audit.set_aside_and_restore import keep_copy, move_and_restore
from imagen_batch.audit.tables import TABLES
from imagen_batch.images.reserve_disk_space import DiskSpace
from imagen_batch.images.store import ImageStore
from imagen_batch.inputs.stored_input_and_settings import reload_plan
from imagen_batch.ledger.damage import damaged_lines, skip_record
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.writer import open_writer
from imagen_batch.planning.compact_row_index import PendingRow
from imagen_batch.planning.plan import RunPlan
from imagen_batch.runs.recovery.record_unlisted import recover_unrecorded
from imagen_batch.runs.recovery.staged_images import recover_staged_images
from imagen_batch.runs.rewrite import rewrite_tables
from imagen_batch.storage import LEDGER, Storage, open_storage


@dataclass(frozen=True, slots=True)
class Repaired:
    """The state after everything that costs nothing was done. `samples_to_remake` have to be paid for again.

    `usd` is their worst-case price, `spent` the most that the folder may have cost so far; `unpriced` counts images
    without a known price.
    """

    audit: Audit
    samples_to_remake: tuple[PendingRow, ...] = ()  # in input order
    images: int = 0
    usd: float = 0.0
    unpriced: int = 0
    spent: float = 0.0

    def within(self, max_cost: float, price: Callable[[int], float | None]) -> Repaired:
        """Return the same with only the first samples, those that `max_cost` pays for."""
        chosen: list[PendingRow] = []
        remaining_usd = max_cost
        for row, base, numbers, _ in self.samples_to_remake:
            unit_price = price(row)
            count = (
                0
                if unit_price is None
                else len(numbers)
                if not unit_price
                else min(len(numbers), int(remaining_usd / unit_price + 1e-9))
            )
            if count:
                chosen.append(PendingRow(row, base, numbers[:count]))
                remaining_usd -= count * (unit_price or 0.0)
        images = sum(len(row.numbers) for row in chosen)
        return Repaired(self.audit, tuple(chosen), images, max_cost - remaining_usd, 0, self.spent)


def repair(location: str | Path, *, notify: Callable[[str], None] = lambda _text: None) -> Repaired:
    """Do everything that costs nothing. Raises FolderBusy, SettingsInvalid, and OSError when the disk fails."""
    storage = open_storage(location)
    with storage.hold_lock():
        if any(snapshot_findings(storage)):
            return Repaired(audit_storage(storage))
        _skip_damaged_lines(storage, notify)
        before = audit_storage(storage)
        if not before.needs_repair:
            if before.of("edited"):  # the tables may have the facts of the images that arrived
                _write_tables(before, storage)
            return Repaired(before)
        move_and_restore(before, storage)
        _record_found_images(storage, notify)
        _write_tables(before, storage)
        after = audit_storage(storage)
        return _price_remakes(after, storage)


def _skip_damaged_lines(storage: Storage, notify: Callable[[str], None]) -> None:
    damaged = list(damaged_lines(storage.logs(LEDGER)))
    if not damaged:
        return
    with closing(open_writer(storage)) as ledger:
        for damage, line in damaged:
            ledger.record_skip(skip_record(damage, line))
            notify(f"{damage.path.name}, line {damage.line}: skipped from now on ({damage.reason})")


def _record_found_images(storage: Storage, notify: Callable[[str], None]) -> None:
    """Record images without a record, as a run does when it starts."""
    plan, history = _as_recorded(storage)
    store = ImageStore(storage, DiskSpace(storage, in_flight=1))
    with closing(open_writer(storage)) as ledger:
        recover_staged_images(store, history, ledger)
        for message in recover_unrecorded(plan, store, history, ledger).messages():
            notify(message)


def _as_recorded(storage: Storage) -> tuple[RunPlan, History]:
    """The plan and the history of the folder, with the keys that rows have in the ledger."""
    plan, history = reload_plan(storage.location), read_history(storage.logs(LEDGER))
    plan.follow(history)
    return plan, history


def _write_tables(before: Audit, storage: Storage) -> None:
    for name in TABLES:
        if any(finding.path == name for finding in before.findings):
            keep_copy(name, storage)
    rewrite_tables(reload_plan(storage.location), read_history(storage.logs(LEDGER)), storage)


def _price_remakes(audit: Audit, storage: Storage) -> Repaired:
    plan, history = _as_recorded(storage)
    rows = tuple(_pending_rows(audit.lost, plan, history))
    usd, unpriced = 0.0, 0
    for row, base, numbers, _ in rows:
        for number in numbers:
            version = history.reviews.current(base, number)
            price = plan.index.price(row) if version is None else version.usd
            usd += price or 0.0
            unpriced += price is None
    images = sum(len(row.numbers) for row in rows)
    return Repaired(audit, rows, images, usd, unpriced, history.cost_bounds(plan.settings.provider).upper_bound)


def _pending_rows(lost: Iterable[Finding], plan: RunPlan, history: History) -> Iterator[PendingRow]:
    """Yield rows with samples to pay for again. An approved image is never made again: the new one would differ."""
    numbers: defaultdict[int, set[int]] = defaultdict(set)
    for finding in lost:
        if finding.row is not None and finding.sample is not None:
            if history.reviews.is_settled(plan.index.row_key(finding.row), finding.sample):
                continue
            numbers[finding.row].add(finding.sample)
    for row in sorted(numbers):
        yield PendingRow(row, plan.index.row_key(row), sorted(numbers[row]))
