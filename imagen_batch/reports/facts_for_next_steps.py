"""Collects the facts for the commands that continue a run: the folder, the user's file, and sufficient limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from imagen_batch.ledger.history import History
from imagen_batch.planning.pending import PendingTotals, count_pending
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import CENT_FRACTION
from imagen_batch.reports.next_steps import Continuation, LimitRaise, RetryChoice, make_absolute
from imagen_batch.settings import Settings
from imagen_batch.text import round_up_to_cents


def make_continuation(plan: RunPlan, history: History) -> Continuation:
    """Return the facts for the commands that continue the run of `plan`, given its `history`."""
    settings = plan.settings
    beyond = settings.limit is not None and settings.limit < plan.rows
    return Continuation(
        folder=make_absolute(settings.folder),
        prompts=_editable_prompts(plan),
        raised=_raised_limits(plan, history),
        whole=_limits_for_everything(plan, history),
        holds_unknown=settings.on_unknown == "hold",
        beyond=plan.rows if beyond else None,
        beyond_usd=_usd_beyond_limit(plan, history) if beyond and not plan.totals.unpriced else None,
        successor=_successor(plan),
        notices=plan.end_notices,
    )


def _limits_for_everything(plan: RunPlan, history: History) -> LimitRaise | None:
    if not _has_limits(plan.settings):
        return None
    pending = _count(plan, history)
    if not pending.requests:
        return None
    limits = _limits(plan.settings, history, pending, pending)
    return LimitRaise(limits, pending.samples, None if pending.unpriced else pending.usd)


def _has_limits(settings: Settings) -> bool:
    return any(limit is not None for limit in (settings.max_cost, settings.max_images, settings.max_cost_per_run))


def _usd_beyond_limit(plan: RunPlan, history: History) -> float:
    return _count(plan, history, limit=None).usd - _count(plan, history, limit=plan.settings.limit).usd


def _editable_prompts(plan: RunPlan) -> str | None:
    """Return the user's file, unless the folder's input has been patched or extended without it."""
    source, origin = plan.source, plan.origin
    if source is None or (origin is not None and origin.evolved) or not source.is_file():
        return None
    try:
        str(source).encode()
    except UnicodeEncodeError:  # a name that is not UTF-8 can't be pasted from a summary
        return None
    return str(source)


def _successor(plan: RunPlan) -> str | None:
    successors = {model.successor for model in plan.models().values()}
    return successors.pop() if len(successors) == 1 else None


def _count(plan: RunPlan, history: History, retry: RetryChoice = "", *, limit: int | None = -1) -> PendingTotals:
    """Count the requests of a later run; `limit` replaces that of the run unless it is -1."""
    changes: dict[str, object] = {"retry": (retry,) if retry else ()}
    if limit != -1:
        changes["limit"] = limit
    return count_pending(plan.without_selection(), history, settings=plan.settings.model_copy(update=changes))


def _raised_limits(plan: RunPlan, history: History) -> Callable[[RetryChoice], tuple[str, ...]]:
    """Return a function from a `--retry` choice to the limits that have to be raised. It counts only when called."""
    settings = plan.settings
    if not _has_limits(settings):
        return lambda _retry: ()

    @cache
    def raised(retry: RetryChoice) -> tuple[str, ...]:
        try:
            pending = _count(plan, history, retry)
        except OSError:  # the folder is unreachable: the command is suggested as it is
            return ()
        # While a single request fits, the limits stay as they are.
        least = PendingTotals(1, pending.smallest, pending.cheapest, 0, pending.cheapest)
        return _limits(settings, history, pending, least) if pending.requests else ()

    return raised


def _limits(settings: Settings, history: History, pending: PendingTotals, wanted: PendingTotals) -> tuple[str, ...]:
    """Return the options that admit all of `pending`, for those limits that do not admit `wanted`."""
    # As the budget of the run counts: a rehearsal in the same folder is not real money.
    spent = history.cost_bounds(settings.provider).upper_bound
    images = history.max_images_made(settings.provider)
    limits: tuple[str, ...] = ()
    if settings.max_cost is not None and spent + wanted.usd > settings.max_cost + CENT_FRACTION:
        limits += ("--max-cost", round_up_to_cents(spent + pending.usd))
    per_run = settings.max_cost_per_run
    if per_run is not None and wanted.dearest > per_run + CENT_FRACTION:
        limits += ("--max-cost-per-run", round_up_to_cents(pending.dearest))
    if settings.max_images is not None and images + wanted.samples > settings.max_images:
        limits += ("--max-images", str(images + pending.samples))
    return limits
