"""Counts the results of a run as they arrive."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from imagen_batch.records import SampleResult

OnResults = Callable[[tuple[SampleResult, ...]], None]


class ResultCounter:
    """Counts samples that have a result and what they cost, and passes them on to `on_results`."""

    def __init__(self) -> None:
        self.finished = 0
        self.usd = 0.0
        self._outcomes: Counter[str] = Counter()
        self.on_results: OnResults = lambda _samples: None
        self._lock = threading.Lock()

    @property
    def outcomes(self) -> dict[str, int]:
        """How many samples have each status."""
        with self._lock:
            return dict(self._outcomes)

    def __call__(self, samples: tuple[SampleResult, ...]) -> None:
        """Count samples, from any thread."""
        with self._lock:
            self.finished += len(samples)
            for sample in samples:
                self._outcomes[sample.status] += 1
                self.usd += sample.cost_usd or 0.0
        try:
            self.on_results(samples)
        except OSError:  # the terminal or pipe that shows them is gone; the run continues
            self.on_results = lambda _samples: None
