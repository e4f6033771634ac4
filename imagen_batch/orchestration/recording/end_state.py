"""Decides the final state of a flow run from the counts of its summary."""

from __future__ import annotations

from dataclasses import dataclass

from imagen_batch.reports.summary import Summary

_MAX_CHARS = 20_000  # of the message of a state


@dataclass(frozen=True)
class EndState:
    """A state of Prefect: its type, name and message."""

    type: str
    name: str
    message: str


def describe_end(summary: Summary) -> EndState:
    """Return the state for these counts. Only a run with every image gets the plain state Completed."""
    counts = ", ".join(f"{count} {name}" for name, count in summary.counts.items() if count)
    warnings = "".join(f"\nwarning: {warning}" for warning in summary.facts.warnings)
    if summary.exit_code == 0:
        return EndState("COMPLETED", "Completed", shorten_message(counts + warnings))
    stopped_early = summary.stopped_by is not None and summary.state != "budget"
    if summary.counts["ok"] == 0 or stopped_early:
        return EndState(
            "FAILED", "Failed", shorten_message(f"{summary.stopped_by or 'no images'}: {counts}{warnings}")
        )
    return EndState("COMPLETED", "PartlyMade", shorten_message(counts + warnings))


def shorten_message(message: str) -> str:
    """Shorten a message to what a state accepts; the log has all of it."""
    return message if len(message) <= _MAX_CHARS else f"{message[:_MAX_CHARS]}... (more in the log)"
