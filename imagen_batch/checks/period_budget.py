"""Checks what the rolling periods (`--max-cost-per`) leave for the images of a plan."""

from __future__ import annotations

from collections.abc import Iterator

from imagen_batch.checks.finding import Finding, ok, problem, warning
from imagen_batch.errors import SettingsInvalid
from imagen_batch.sending.period.room_left import find_room
from imagen_batch.settings import Settings
from imagen_batch.text import one_line, usd, usd_at_most


def check_periods(settings: Settings, *, needed: float) -> Iterator[Finding]:
    """Check whether a run that needs at most `needed` USD fits into each period."""
    try:
        rooms = find_room(settings)
    except SettingsInvalid as error:
        yield problem("period", one_line(str(error), 400), "correct that; a run would be refused")
        return
    for room in rooms:
        text = f"{room.limit.text} leaves {usd(room.left)} below {one_line(room.root, 200)}"
        if room.fits(needed):
            yield ok("period", text)
        else:
            advice = f"the images may need {usd_at_most(needed)}: it stops before that, and a later run continues"
            yield warning("period", text, advice)
