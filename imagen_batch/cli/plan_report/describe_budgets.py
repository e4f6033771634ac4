"""Describes whether a run fits into the limits of its folder: `--max-cost`, `--max-cost-per-run` and `--max-images`.

The amounts are those that the run itself compares, and a limit that is named as enough is the one that its summary
would suggest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from imagen_batch.planning.pending import PendingTotals
from imagen_batch.records import CENT_FRACTION
from imagen_batch.settings import Settings
from imagen_batch.text import plural, round_up_to_cents, usd


@dataclass(frozen=True, slots=True)
class BudgetRoom:
    """A limit of a run. `used` counts against it, `needed` is what the run may need, `least` its smallest request.

    `enough` is the value with which the run fits; None where that is not known.
    """

    limit: str  # the option, without dashes
    value: float
    used: float
    needed: float
    least: float
    enough: str | None

    @property
    def left(self) -> float:
        """What the run may still use."""
        return max(0.0, self.value - self.used)

    @property
    def fits(self) -> bool | None:
        """Whether the run fits; None where a price is not known."""
        fits = self.needed <= self.value - self.used + CENT_FRACTION
        return None if fits and self.enough is None else fits

    @property
    def admits_one(self) -> bool:
        """Whether at least one request fits."""
        return self.least <= self.value - self.used + CENT_FRACTION


def find_budget_room(settings: Settings, pending: PendingTotals) -> tuple[BudgetRoom, ...]:
    """Return the limits of the settings with what is left of each."""
    return tuple(_rooms(settings, pending))


def _rooms(settings: Settings, pending: PendingTotals) -> Iterator[BudgetRoom]:
    enough = None if pending.unpriced else round_up_to_cents(pending.spent + pending.usd)
    if settings.max_cost is not None:
        yield BudgetRoom("max-cost", settings.max_cost, pending.spent, pending.usd, pending.cheapest, enough)
    if (per_run := settings.max_cost_per_run) is not None:
        enough = None if pending.unpriced else round_up_to_cents(pending.usd)
        yield BudgetRoom("max-cost-per-run", per_run, 0.0, pending.usd, pending.cheapest, enough)
    if (images := settings.max_images) is not None:
        most = str(pending.images_made + pending.samples)
        yield BudgetRoom("max-images", images, pending.images_made, pending.samples, pending.smallest, most)


def describe_budget(room: BudgetRoom) -> str:
    """Say what a limit leaves, whether the run fits, and which limit is enough."""
    if room.limit == "max-images":
        used, left = f"{room.used:,.0f} made or possibly made", plural(round(room.left), "image")
    else:
        used, left = f"{usd(room.used)} spent or possibly charged", usd(room.left)
    counted = f" ({used} in this folder)" if room.used else ""
    return f"--{room.limit} {room.value:g} leaves {left}{counted}; {_describe_fit(room)}"


def _describe_fit(room: BudgetRoom) -> str:
    if room.fits is None:
        return "not known whether this run fits, as prices are missing: use --price USD"
    if room.fits:
        return "this run fits" if room.needed else "this run needs none of it"
    end = "stops with code 6 when that is used up" if room.admits_one else "sends nothing and ends with code 6"
    later = ", and a later one continues" if room.limit == "max-cost-per-run" and room.admits_one else ""
    remedy = f"; --{room.limit} {room.enough} is enough" if room.enough else ""
    return f"this run does not fit: it {end}{later}{remedy}"


def budget_facts(room: BudgetRoom) -> dict[str, Any]:
    """Return what `--json` says about a limit; `fits` is None where a price is not known."""
    facts = asdict(room) | {"limit": room.limit.replace("-", "_"), "left": room.left, "fits": room.fits}
    del facts["least"]
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in facts.items()}
