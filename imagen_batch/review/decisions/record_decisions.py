"""Records decisions in a run's ledger, where they survive kills and audits, and writes the run's tables again.

Decisions come from `review.csv`. `.imagen-batch/review-applied.csv` is a copy of the file as it was applied, so that
a line which has not changed since does not override a later decision.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from imagen_batch.errors import InputInvalid
from imagen_batch.inputs.stored_input_and_settings import reload_plan
from imagen_batch.ledger.files import ledger_files, time_after
from imagen_batch.ledger.history import History, read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.plan import RunPlan
from imagen_batch.review.decisions.decisions_to_ledger_changes import Changes, changes_of_review
from imagen_batch.review.review_csv import REVIEW_FILE, Decision, read_review, read_review_lines
from imagen_batch.runs.rewrite import rewrite_tables
from imagen_batch.storage import LEDGER, STATE, Storage, explain_storage_errors, open_storage

APPLIED: Final = f"{STATE}/review-applied.csv"

ComputeChanges = Callable[[RunPlan, History], Changes]


def change_review(location: str, compute: ComputeChanges) -> Changes:
    """Record the changes that `compute` returns for the run's input and history, all of them or none.

    Raises SettingsInvalid if there is no run, InputInvalid from `compute`, FolderBusy while a run uses the folder.
    """
    plan = reload_plan(location)
    with explain_storage_errors(location, to="be written"):
        storage = open_storage(location)
        with storage.hold_lock():
            history = read_history(storage.logs(LEDGER))
            plan.follow(history)
            changes = compute(plan, history)
            if changes.decisions:
                _record(changes, storage, history)
                rewrite_tables(plan, history, storage)
    return changes


def apply_review(location: str, file: Path | None = None) -> Changes:
    """Apply a review.csv, by default the run's own. Raises InputInvalid with every problem of the file."""
    storage = open_storage(location)
    path = file or storage.local(REVIEW_FILE)
    review = read_review_lines(path)
    before = [] if file is not None else read_applied(storage)
    changes = change_review(location, lambda plan, history: changes_of_review(review, plan, history, applied=before))
    if file is None:
        remember_applied(storage, path.read_bytes())
    return changes


def pending_changes(location: str) -> tuple[Changes, bytes] | None:
    """Return the changes of the run's own review.csv, and its bytes; None if there are none or they were applied.

    Raises InputInvalid with every problem of the file.
    """
    storage = open_storage(location)
    if storage.size(REVIEW_FILE) is None:
        return None
    data = storage.read(REVIEW_FILE)
    if data == _read(storage, APPLIED):
        return None
    plan, history = reload_plan(location), read_history(storage.logs(LEDGER))
    plan.follow(history)
    review = read_review_lines(storage.local(REVIEW_FILE))
    return changes_of_review(review, plan, history, applied=read_applied(storage)), data


def read_applied(storage: Storage) -> list[Decision]:
    """Return the lines of review.csv as they were applied; none if the copy is missing or damaged."""
    if storage.size(APPLIED) is None:
        return []
    with suppress(InputInvalid):
        return read_review(storage.local(APPLIED))
    return []


def remember_applied(storage: Storage, data: bytes) -> None:
    """Keep the bytes of a review.csv that was applied."""
    with storage.write(APPLIED) as target:
        target.write(data)


def _record(changes: Changes, storage: Storage, history: History) -> None:
    names = (path.name for path in ledger_files(storage.logs(LEDGER)))
    with closing(LedgerWriter(storage, now=time_after(names, time.time()))) as ledger:
        ledger.record_review(changes.decisions, at=time.time())
    history.read_folder(storage.logs(LEDGER))


def _read(storage: Storage, name: str) -> bytes | None:
    with suppress(FileNotFoundError):
        return storage.read(name)
    return None
