"""Describes what a plan sends: requests, stages, sizes, price, time and names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

from imagen_batch.cli.plan_report.facts import (
    NAMES,
    minutes_needed,
    next_names,
    planned_shapes,
)
from imagen_batch.planning.pending import PendingTotals, describe_held, describe_redone
from imagen_batch.planning.plan import RunPlan
from imagen_batch.sending.pacing.earlier_pace import EarlierPace
from imagen_batch.text import plural, span, usd_at_most

_SHAPES = 6


def describe_requests(plan: RunPlan, pending: PendingTotals) -> str:
    if pending.requests == plan.requests and not pending.redone:
        return f"{plan.requests:,}"
    made = f"{pending.made:,} made{describe_held(pending)}"
    if not pending.requests:
        return f"none; {made}"
    redone = f" ({describe_redone(plan, pending)})" if pending.redone else ""
    return f"{pending.requests:,} to send, for {plural(pending.samples, 'image')}{redone}; {made}"


def describe_stages(pending: PendingTotals) -> str:
    """Say what is sent in each stage: a row that uses the image of another one comes after it."""
    texts = (f"{plural(stage.requests, 'request')}, at most {usd_at_most(stage.usd)}" for stage in pending.stages)
    return f"{len(pending.stages)}, as rows use images of other rows: {'; then '.join(texts)}"


def describe_names(plan: RunPlan, pending: PendingTotals) -> str:
    if not pending.samples:
        return "no new ones; images that were made keep their names"
    names = ", ".join(next_names(plan, pending))
    shown = f"{names}, ..." if pending.samples > NAMES or pending.samples > len(plan.names) else names
    if not pending.made:
        return shown
    return f"{shown} (the {pending.made:,} that {'was' if pending.made == 1 else 'were'} made keep their names)"


def describe_pixels(plan: RunPlan) -> str:
    """The sizes in pixels, with the number of images and the ratio of each."""
    counts: Counter[str] = Counter()
    for shape in planned_shapes(plan):
        size = f"{shape.image_size or 'default size'}, {shape.aspect_ratio or 'shape chosen by the service'}"
        pixels = f"{shape.width} x {shape.height} ({shape.aspect_ratio})" if shape.width else size
        counts[pixels] += shape.images
    listed = [f"{pixels}: {plural(images, 'image')}" for pixels, images in counts.most_common(_SHAPES)]
    more = len(counts) - len(listed)
    return "; ".join(listed) + (f"; and {plural(more, 'more shape')}" if more > 0 else "")


def describe_price(plan: RunPlan, pending: PendingTotals) -> str:
    text = f"at most {usd_at_most(pending.usd)} if each request is sent once"
    if plan.settings.provider == "simulator":
        text += " (Google's price; the simulator is free)"
    if pending.unpriced:
        text += f"; no known price for {plural(pending.unpriced, 'image')}: use --price USD"
    return text


def format_size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6)) if count else 0} MB"


def describe_time(plan: RunPlan, pending: PendingTotals) -> str:
    minutes = minutes_needed(plan, pending)
    if not pending.requests:
        return "none"
    if minutes is None:
        return "depends on your quota"
    per_minute = plan.settings.requests_per_minute
    return f"at least {span(minutes * 60)} at {per_minute:g} {'request' if per_minute == 1 else 'requests'} a minute"


def describe_paces(paces: Mapping[str, EarlierPace]) -> str:
    now = datetime.now(UTC).timestamp()
    if len(paces) == 1:
        return next(iter(paces.values())).describe(now)
    return "; ".join(f"{model} {pace.describe(now)}" for model, pace in paces.items())
