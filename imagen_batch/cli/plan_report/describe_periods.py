"""Describes what the rolling periods (`--max-cost-per`) leave, and whether a run fits into that."""

from __future__ import annotations

from typing import Any

from imagen_batch.sending.period.room_left import PeriodRoom
from imagen_batch.text import plural, usd


def describe_period(
    room: PeriodRoom, *, needed: float, cheapest: float, unpriced: int, provider: str, what: str = "this run"
) -> str:
    """Say what a limit leaves for a run that needs at most `needed` USD, and what happens if that is too little.

    `cheapest` is the worst-case price of its cheapest request.
    """
    counted = f" ({usd(room.counted)} is spent, possibly charged or reserved)" if room.counted else ""
    whose = ", for rehearsals with the simulator" if provider == "simulator" else ""
    left = f"{room.limit.text} leaves {usd(room.left)} of {usd(room.limit.usd)} below {room.root}{counted}{whose}"
    return f"{left}; {_describe_fit(room, needed, cheapest, unpriced, what)}"


def _describe_fit(room: PeriodRoom, needed: float, cheapest: float, unpriced: int, what: str) -> str:
    if not room.fits(needed):
        sends = room.left > 0 and room.fits(cheapest)
        end = "stops with code 6 when that is spent" if sends else "sends nothing and ends with code 6"
        return f"{what} does not fit: it {end}, and a later one continues"
    if unpriced:
        return f"not known whether {what} fits, as {plural(unpriced, 'image')} have no known price: use --price USD"
    return f"{what} fits" if needed else f"{what} needs none of it"


def period_facts(room: PeriodRoom, *, needed: float, unpriced: int) -> dict[str, Any]:
    """Return what `--json` says about a limit; `fits` is None where a price is not known."""
    fits = room.fits(needed)
    return {
        "limit": room.limit.text,
        "root": room.root,
        "limit_usd": room.limit.usd,
        "counted_usd": round(room.counted, 6),
        "left_usd": round(room.left, 6),
        "fits": None if fits and unpriced else fits,
    }
