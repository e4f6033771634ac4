"""How a run talks to the person or program that started it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from imagen_batch.records import SampleResult


@dataclass(frozen=True)
class Console:
    """How a run talks to whoever started it. `confirm` is None where nobody can be asked."""

    say: Callable[[str], None]
    progress: Callable[[int], Progress]
    confirm: Callable[[str], bool] | None
    command: str  # as it was typed; the summary's next steps build on it


class Progress(Protocol):
    """Hears of each result, from any thread."""

    def seen(self, samples: tuple[SampleResult, ...]) -> None:
        """These samples have an outcome now."""

    def stopping(self) -> None:
        """The run waits for what is in flight, and starts nothing new."""

    def close(self) -> None:
        """Nothing follows."""
