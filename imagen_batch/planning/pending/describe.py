"""Says in words what is pending, and why a run sends nothing."""

from __future__ import annotations

from imagen_batch.planning.pending.totals import PendingTotals
from imagen_batch.planning.plan import RunPlan


def nothing_to_send(pending: PendingTotals) -> str:
    """Say why a run sends nothing."""
    made = f"{pending.made:,} made"
    if not pending.held and not pending.waiting:
        return f"Nothing to send: all {made}."
    return f"Nothing to send: {made}{describe_held(pending)}."


def describe_redone(plan: RunPlan, pending: PendingTotals) -> str:
    """Say how many of the images are further versions of samples."""
    count = f"{pending.redone:,} as {'a further version' if pending.redone == 1 else 'further versions'}"
    if plan.settings.upgrade:
        count += f" in {plan.settings.upgrade}, which may differ from the approved ones"
    return count


def describe_held(pending: PendingTotals) -> str:
    """Say how many samples are sent again only on request; empty where there are none."""
    text = ""
    if pending.held:
        verb = "is" if pending.held == 1 else "are"
        text += f"; {pending.held:,} refused or failed {verb} tried again only with --retry"
    if pending.waiting:
        verb = "waits" if pending.waiting == 1 else "wait"
        text += f"; {pending.waiting:,} {verb} for the image of another row"
    return text
