"""Decides the state and the exit code of a run from what is missing and why it ended."""

from __future__ import annotations

from collections.abc import Mapping

from imagen_batch.records import Outcome
from imagen_batch.reports.summary.facts import State, StopReason, stopped_by_error


def exit_code(counts: Mapping[Outcome, int], reason: StopReason | None, *, missing: int | None = None) -> int:
    """0 every sample ok, 3 some without an image, 4 no image at all, 6 the budget; else the code of `reason`.

    `missing` counts what is not there, by default the samples without an image. A redo that brought no image counts
    as missing; a sample that --accept replaced does not.
    """
    if missing is None:
        missing = sum(counts.values()) - counts["ok"]
    if not missing and not stopped_by_error(reason):
        return 0
    if reason is not None:
        return reason.exit_code
    if counts["skipped_budget"]:
        return 6
    return 3 if counts["ok"] else 4


def state_of(counts: Mapping[Outcome, int], reason: StopReason | None, *, left_out: int = 0, missing: int) -> State:
    if not missing and not stopped_by_error(reason):
        return "finished"
    if reason is not None:
        return reason.state
    if counts["skipped_budget"]:
        return "budget"
    return "unfinished" if counts["not_attempted"] > left_out else "finished"
