"""Defines the interface between a run and the person or program that started it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from imagen_batch.records import SampleResult


@dataclass(frozen=True)
class RunObserver:
    """The messages, progress and questions of a run. `confirm` is None where no question can be asked."""

    notify: Callable[[str], None]
    progress: Callable[[int], Progress]
    confirm: Callable[[str], bool] | None
    command: str  # as it was typed; stored with the run
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)  # of this start of the run
    on_flow_run: Callable[[str], None] = lambda _id: None  # gets the id of Prefect's flow run


class Progress(Protocol):
    """Displays results as they arrive, from any thread."""

    def update(self, samples: tuple[SampleResult, ...]) -> None:
        """Show that these samples have a result."""

    def stopping(self) -> None:
        """Show that the run waits for what is in flight and starts nothing new."""

    def close(self) -> None:
        """End the display."""
