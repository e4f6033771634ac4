"""Works out what commands that continue a run need: folder, the user's file, and limits that admit something."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil

from imagen_batch.ledger.history import History
from imagen_batch.planning.pending import Remaining, remaining
from imagen_batch.planning.plan import Examined
from imagen_batch.records import CENT_FRACTION
from imagen_batch.reports.next_steps import Again, Continuation, absolute
from imagen_batch.settings import Settings


def continuation(examined: Examined, past: History) -> Continuation:
    """How the run of `examined` is continued, after what `past` says."""
    settings = examined.settings
    beyond = _beyond(examined)
    return Continuation(
        folder=absolute(settings.place),
        prompts=_to_edit(examined),
        raised=_raised(examined, past),
        whole=_whole(examined, past),
        holds_unknown=settings.on_unknown == "hold",
        beyond=beyond,
        beyond_usd=None if beyond is None or examined.unpriced else _beyond_usd(examined, past),
        successor=_successor(examined),
    )


def _whole(examined: Examined, past: History) -> tuple[str, ...]:
    if not _limited(examined.settings):
        return ()
    pending = _left(examined, past, examined.settings, "")
    return _limits(examined.settings, past, pending, pending) if pending.requests else ()


def _limited(settings: Settings) -> bool:
    return any(limit is not None for limit in (settings.max_cost, settings.max_images, settings.max_cost_per_run))


def _beyond_usd(examined: Examined, past: History) -> float:
    within, all_rows = (
        _left(examined, past, examined.settings, "", limit=limit) for limit in (examined.settings.limit, None)
    )
    return all_rows.usd - within.usd


def _to_edit(examined: Examined) -> str | None:
    """The user's file, unless the folder's input went on without it."""
    source, origin = examined.source, examined.origin
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


def _successor(examined: Examined) -> str | None:
    successors = {model.successor for model in examined.models().values()}
    return successors.pop() if len(successors) == 1 else None


def _beyond(examined: Examined) -> int | None:
    limit = examined.settings.limit
    return examined.rows if limit is not None and limit < examined.rows else None


def _left(
    examined: Examined, past: History, settings: Settings, again: Again, *, limit: int | None = -1
) -> Remaining:
    """What a later run would send."""
    changes: dict[str, object] = {"retry": (again,) if again else ()}
    if limit != -1:
        changes["limit"] = limit
    whole = examined.without_selection()
    return remaining(whole, past, settings=settings.model_copy(update=changes))


def _raised(examined: Examined, past: History) -> Callable[[Again], tuple[str, ...]]:
    """For a choice of --retry the limits that have to be raised; counted only for those that are suggested."""
    settings = examined.settings
    if not _limited(settings):
        return lambda _again: ()

    @cache
    def raised(again: Again) -> tuple[str, ...]:
        try:
            return _raised_for(settings, past, _left(examined, past, settings, again))
        except OSError:  # the place is away: the command is suggested as it is
            return ()

    return raised


def _raised_for(settings: Settings, past: History, left: Remaining) -> tuple[str, ...]:
    """Nothing while something fits: then the limits hold as they are."""
    least = Remaining(1, left.smallest, left.cheapest, 0, left.cheapest)
    return _limits(settings, past, left, least) if left.requests else ()


def _limits(settings: Settings, past: History, left: Remaining, wanted: Remaining) -> tuple[str, ...]:
    """The limits that admit all of `left`; only those in the way of `wanted`."""
    spent, pictures = past.lost_money().high, past.pictures_at_most()
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
