"""What a run still has to send: which samples, in which requests, at what price."""

from imagen_batch.planning.pending.count import count_pending, first_requests
from imagen_batch.planning.pending.describe import describe_held, describe_redone, nothing_to_send
from imagen_batch.planning.pending.find_pending import remaining_requests
from imagen_batch.planning.pending.totals import PendingTotals, StageTotals
from imagen_batch.planning.pending.yield_pending_rows import pending_requests, pending_rows

__all__ = [
    "PendingTotals",
    "StageTotals",
    "count_pending",
    "describe_held",
    "describe_redone",
    "first_requests",
    "nothing_to_send",
    "pending_requests",
    "pending_rows",
    "remaining_requests",
]
