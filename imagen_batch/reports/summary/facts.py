"""What a summary holds beside the counted rows, and why a run ended early."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from imagen_batch.ledger.costs import Cost
from imagen_batch.ledger.history import History
from imagen_batch.reports.next_steps import Continuation
from imagen_batch.reports.tables.write_without_raising import UnwrittenFile, describe_unwritten

State = Literal[
    "running",  # reported by `status` during the run
    "finished",  # every sample was attempted
    "unfinished",  # some were not, for no recorded reason: the process was killed
    "budget",  # a limit left some out
    "paused",  # daily quota, outage: the same command continues later
    "stopped",  # something has to be fixed first
    "interrupted",  # by a signal
]

RETRY_LATER = 75
"""The exit code of a run that the same command continues later."""

_UNWRITTEN = "{}. Run the same command again once that is fixed; nothing is paid for twice."


@dataclass(frozen=True, slots=True)
class StopReason:
    """What ended a run before every sample was attempted."""

    state: State
    exit_code: int
    message: str  # a sentence
    cause: str | None = None  # "auth", "billing", "model_gone", "quota_day", "outage", "disk"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What the manifest's rows do not contain. A figure that is None is taken from the rows."""

    out: str  # the folder as the user wrote it
    started_at: datetime
    finished_at: datetime | None  # None: the run is going on, or was killed
    stop_reason: StopReason | None = None
    provider: str | None = None
    attempts: int | None = None
    refused_429: int = 0
    money: Cost | None = None  # the ledger's, which includes failed attempts that a later one made up for
    running: bool = False
    older_images: int = 0  # images in the folder that no row of this input requests
    warnings: tuple[str, ...] = ()  # about the input, as they were shown before anything was sent
    run: Continuation | None = None  # what suggested commands are built from; None: from the folder alone
    lost_attempts: int | None = None  # attempts that may have been charged and brought nothing
    run_usd: float | None = None  # what this run alone was charged
    run_attempts: int | None = None
    has_gallery: bool = False  # gallery.html was written
    unwritten: tuple[UnwrittenFile, ...] = ()  # tables that could not be written in place

    @classmethod
    def from_ledger(
        cls, history: History, *, out: str, provider: str, started_at: datetime, finished_at: datetime | None
    ) -> RunFacts:
        """Return the facts that the ledger has, about all runs in the folder."""
        charges = history.charges(provider)
        return cls(
            out=out,
            started_at=started_at,
            finished_at=finished_at,
            provider=provider,
            attempts=history.attempts,
            refused_429=history.refused_429,
            money=charges.cost,
            lost_attempts=charges.lost_attempts,
        )


def stop_reason_of(facts: RunFacts, missing: int) -> StopReason | None:
    """Return why the run ended early. Unwritten tables count like a full disk, unless something else stopped it."""
    if facts.unwritten and (facts.stop_reason is None or (not missing and not stopped_by_error(facts.stop_reason))):
        return StopReason("paused", RETRY_LATER, _UNWRITTEN.format(describe_unwritten(facts.unwritten)), "disk")
    return facts.stop_reason


def stopped_by_error(reason: StopReason | None) -> bool:
    """Whether the reason matters even where every image was made; a Ctrl-C after the last one does not."""
    return reason is not None and reason.state not in ("interrupted", "budget") and reason.cause != "time"
