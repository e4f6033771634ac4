"""Works out what commands that continue a run need: folder, the user's file, and limits that admit something."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil

from imagen_batch.ledger.history import History
from imagen_batch.planning.pending import PendingTotals, count_pending
from imagen_batch.planning.plan import RunPlan
from imagen_batch.records import CENT_FRACTION
from imagen_batch.reports.next_steps import Again, Continuation, absolute
from imagen_batch.settings import Settings


def continuation(plan: RunPlan, past: History) -> Continuation:
    """How the run of `examined` is continued, after what `past` says."""
    settings = plan.settings
    beyond = _beyond(plan)
    return Continuation(
        folder=absolute(settings.place),
        prompts=_to_edit(plan),
        raised=_raised(plan, past),
        whole=_whole(plan, past),
        holds_unknown=settings.on_unknown == "hold",
        beyond=beyond,
        beyond_usd=None if beyond is None or plan.unpriced else _beyond_usd(plan, past),
        successor=_successor(plan),
    )


def _whole(plan: RunPlan, past: History) -> tuple[str, ...]:
    if not _limited(plan.settings):
        return ()
    pending = _left(plan, past, plan.settings, "")
    return _limits(plan.settings, past, pending, pending) if pending.requests else ()


def _limited(settings: Settings) -> bool:
    return any(limit is not None for limit in (settings.max_cost, settings.max_images, settings.max_cost_per_run))


def _beyond_usd(plan: RunPlan, past: History) -> float:
    within, all_rows = (_left(plan, past, plan.settings, "", limit=limit) for limit in (plan.settings.limit, None))
    return all_rows.usd - within.usd


def _to_edit(plan: RunPlan) -> str | None:
    """The user's file, unless the folder's input went on without it."""
    source, origin = plan.source, plan.origin
    if source is None or (origin is not None and origin.evolved) or not source.is_file():
        return None
    return str(source) if _is_text(str(source)) else None


def _is_text(path: str) -> bool:
    """Whether a path can be written down: a name that is no UTF-8 can't be pasted from a summary either."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _successor(plan: RunPlan) -> str | None:
    successors = {model.successor for model in plan.models().values()}
    return successors.pop() if len(successors) == 1 else None


def _beyond(plan: RunPlan) -> int | None:
    limit = plan.settings.limit
    return plan.rows if limit is not None and limit < plan.rows else None


def _left(plan: RunPlan, past: History, settings: Settings, again: Again, *, limit: int | None = -1) -> PendingTotals:
    """What a later run would send."""
    changes: dict[str, object] = {"retry": (again,) if again else ()}
    if limit != -1:
        changes["limit"] = limit
    whole = plan.without_selection()
    return count_pending(whole, past, settings=settings.model_copy(update=changes))


def _raised(plan: RunPlan, past: History) -> Callable[[Again], tuple[str, ...]]:
    """For a choice of --retry the limits that have to be raised; counted only for those that are suggested."""
    settings = plan.settings
    if not _limited(settings):
        return lambda _again: ()

    @cache
    def raised(again: Again) -> tuple[str, ...]:
        try:
            return _raised_for(settings, past, _left(plan, past, settings, again))
        except OSError:  # the place is away: the command is suggested as it is
            return ()

    return raised


def _raised_for(settings: Settings, past: History, left: PendingTotals) -> tuple[str, ...]:
    """Nothing while something fits: then the limits hold as they are."""
    least = PendingTotals(1, left.smallest, left.cheapest, 0, left.cheapest)
    return _limits(settings, past, left, least) if left.requests else ()


def _limits(settings: Settings, past: History, left: PendingTotals, wanted: PendingTotals) -> tuple[str, ...]:
    """The limits that admit all of `left`; only those in the way of `wanted`."""
    spent, pictures = past.cost_bounds().high, past.max_images_made()
    limits: tuple[str, ...] = ()
    if settings.max_cost is not None and spent + wanted.usd > settings.max_cost + CENT_FRACTION:
        limits += ("--max-cost", _cents(spent + left.usd))
    per_run = settings.max_cost_per_run
    if per_run is not None and wanted.dearest > per_run + CENT_FRACTION:
        limits += ("--max-cost-per-run", _cents(left.dearest))
    if settings.max_images is not None and pictures + wanted.samples > settings.max_images:
        limits += ("--max-images", str(pictures + left.samples))
    return limits


def _cents(usd: float) -> str:
    """Rounded up: what is needed has to fit."""
    return f"{ceil(usd * 100 - 1e-6) / 100:.2f}"
