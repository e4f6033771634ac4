"""Defines what a check reports: a line with its level and advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["ok", "warning", "problem"]

LEVELS: Final[tuple[Level, ...]] = ("ok", "warning", "problem")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `advice` is what the user can do; empty where nothing is to do."""

    name: str
    level: Level
    text: str
    advice: str = ""


def ok(name: str, text: str) -> Finding:
    """Report that something is as a run needs it."""
    return Finding(name, "ok", text)


def warning(name: str, text: str, advice: str) -> Finding:
    """Report something that a run can live with."""
    return Finding(name, "warning", text, advice)


def problem(name: str, text: str, advice: str) -> Finding:
    """Report something that keeps a run from starting."""
    return Finding(name, "problem", text, advice)
