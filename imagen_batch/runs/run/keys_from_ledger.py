"""Gives rows the keys that the ledger decides, while a run holds its folder."""

from __future__ import annotations

import time

from imagen_batch.ledger.history import History
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.plan import RunPlan
from imagen_batch.planning.samples.approved_images_of_waiting_rows import moves_from_placeholders
from imagen_batch.storage import LEDGER, Storage


def assign_keys(plan: RunPlan, storage: Storage, ledger: LedgerWriter, history: History) -> None:
    """Give rows their keys, and move approved images to those that have got one."""
    plan.follow(history)
    if moves := moves_from_placeholders(plan, history):
        ledger.record_moves([move.as_record() for move in moves], at=time.time())
        history.read_folder(storage.logs(LEDGER))
