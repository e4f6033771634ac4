"""Says why a run ended early, with the exit code that follows from it."""

from __future__ import annotations

from imagen_batch.ledger.history import History
from imagen_batch.reports.summary import RETRY_LATER, State, StopReason
from imagen_batch.sending.budget import Budget
from imagen_batch.sending.stop import Stop
from imagen_batch.settings import Settings
from imagen_batch.text import usd


def stop_reason(stop: Stop) -> StopReason | None:
    """Return the reason in a run's stop signal, as the summary reports it; None when it was never set."""
    if stop.signal is not None:
        return StopReason("interrupted", 128 + stop.signal, "interrupted; run the same command to continue")
    if stop.fatal is not None:
        state: State = "paused" if stop.fatal.exit_code == RETRY_LATER else "stopped"
        message = str(stop.fatal)
        if stop.fatal.resets_at is not None:
            message += f"; it resets at {stop.fatal.resets_at.astimezone():%Y-%m-%d %H:%M %Z}"
        return StopReason(state, stop.fatal.exit_code, message, cause=stop.fatal.cause)
    return None


def budget_stop_reason(budget: Budget, settings: Settings, history: History) -> StopReason | None:
    """Return the limit that kept a request from being sent; None where none did."""
    if budget.limit is None:
        return None
    spent = history.cost_bounds(settings.provider).upper_bound
    images = history.max_images_made(settings.provider)
    by_run = spent - budget.spent_before
    period = "" if budget.period is None else budget.period.describe(by_run)
    used = {
        "max_cost_per": period,
        "max_cost": f"{usd(spent)} of --max-cost {settings.max_cost} is spent or possibly charged in this folder",
        "max_cost_per_run": f"{usd(by_run)} of --max-cost-per-run {settings.max_cost_per_run} is spent or possibly "
        "charged by this run",
        "max_images": f"{images:,} of --max-images {settings.max_images} are made or possibly made in this folder",
    }[budget.limit]
    message = f"stopped by the budget: {used}, and the next request does not fit"
    cause = "budget_period" if budget.limit == "max_cost_per" else "budget"
    return StopReason("budget", 6, message, cause=cause)
