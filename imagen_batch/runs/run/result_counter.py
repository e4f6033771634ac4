"""Counts the results of a run as they arrive."""

from __future__ import annotations

import threading
from collections.abc import Callable

from imagen_batch.records import SampleResult

OnResults = Callable[[tuple[SampleResult, ...]], None]


class ResultCounter:
    """Counts samples that have a result, and passes them on to `on_results`."""

    def __init__(self) -> None:
        self.finished = 0
        self.on_results: OnResults = lambda _samples: None
        self._lock = threading.Lock()

    def __call__(self, samples: tuple[SampleResult, ...]) -> None:
        """Count samples, from any thread."""
        with self._lock:
            self.finished += len(samples)
        try:
            self.on_results(samples)
        except OSError:  # the terminal or pipe that shows them is gone; the run continues
            self.on_results = lambda _samples: None
