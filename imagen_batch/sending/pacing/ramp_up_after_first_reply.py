"""Computes how fast attempts start after the first reply, while no limit of the service is known.

The first reply shows how long the service takes. From then on, attempts start evenly, at a rate that fills all slots
in flight in little more than that time. Starts that are spread out find a small quota at a cost of few refusals: only
what starts before the first refusal arrives is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

_MAX_RATE = 240.0  # starts per second at first, however fast the reply was
_FILL_TIME = 1.33  # times the latency of a reply
_MIN_LATENCY_S = 0.01  # of a reply
_DOUBLING_TIME_S = 1.0  # the rate doubles in this time, or in that of a reply if it is longer


@dataclass(frozen=True, slots=True)
class Opening:
    """The rate of starts since the first reply, which arrived at `since` and took `latency` seconds."""

    since: float
    latency: float
    slots: int

    def interval(self, now: float) -> float:
        """Return the seconds between two starts."""
        first = min(self.slots / max(self.latency * _FILL_TIME, _MIN_LATENCY_S), _MAX_RATE)
        doublings = min((now - self.since) / max(self.latency, _DOUBLING_TIME_S), 20.0)
        return float(1 / (first * 2**doublings))
