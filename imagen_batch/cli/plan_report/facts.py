"""Works out facts that the plan shows as text and as JSON: names, sizes in pixels, time, columns."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.planning.pending import PendingTotals, first_requests
from imagen_batch.planning.plan import RunPlan
from imagen_batch.prompts.suspicious_columns import misspelled_role
from imagen_batch.providers.pixel_sizes import expected_pixels

NAMES = 3


@dataclass(frozen=True)
class PlannedShape:
    """Images of the same model, ratio and size. The pixels are None where they are not known beforehand."""

    model: str
    aspect_ratio: str | None
    image_size: str | None
    width: int | None
    height: int | None
    images: int


def planned_shapes(plan: RunPlan) -> list[PlannedShape]:
    """The shapes of the selected images, the most frequent first."""
    models, shapes = plan.models(), []
    for (name, ratio, size), images in plan.totals.images_by_shape.most_common():
        width, height = expected_pixels(models[name], ratio, size) or (None, None)
        shapes.append(PlannedShape(name, ratio, size, width, height, images))
    return shapes


def next_names(plan: RunPlan, pending: PendingTotals) -> list[str]:
    """Return the first few names that new images would get, without extension."""
    if pending.samples == plan.samples and not pending.redone:
        return plan.names
    return [request.names[0] for request in first_requests(plan, pending)][:NAMES]


def misspelt_columns(plan: RunPlan) -> dict[str, str]:
    roles = plan.file.roles
    return {name: known for name in plan.file.user_columns if (known := misspelled_role(name, roles))}


def minutes_needed(plan: RunPlan, pending: PendingTotals) -> float | None:
    per_minute = plan.settings.requests_per_minute
    return None if per_minute is None else pending.requests / per_minute
