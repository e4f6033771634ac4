"""Reports a benchmark's figures, on the terminal and to the table of `run_all`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import orjson

FIGURES_FILE = "BENCHMARK_FIGURES"
"""The environment variable with the file to which figures are appended, as JSON lines."""


@dataclass(frozen=True)
class Figure:
    """A measured figure as text. `holds` is None where there is no target."""

    name: str
    figure: str
    target: str = ""
    holds: bool | None = None


def at_most(name: str, value: float, limit: float, unit: str = "") -> Figure:
    """Return a figure that must not be larger than `limit`."""
    return Figure(name, f"{value:.2f}{unit}", f"<= {limit:.2f}{unit}", value <= limit)


def at_least(name: str, value: float, limit: float, unit: str = "") -> Figure:
    """Return a figure that must not be smaller than `limit`."""
    return Figure(name, f"{value:.2f}{unit}", f">= {limit:.2f}{unit}", value >= limit)


def table(figures: Sequence[Figure]) -> str:
    """Format the figures as a table."""
    words = {None: "", True: "yes", False: "NO"}
    rows = [("", "figure", "target", "holds"), *((f.name, f.figure, f.target, words[f.holds]) for f in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def report_and_exit(figures: Sequence[Figure]) -> NoReturn:
    """Print the figures and exit, with 1 when a target is missed."""
    print(table(figures), flush=True)
    if path := os.environ.get(FIGURES_FILE):
        with Path(path).open("ab") as file:
            file.writelines(orjson.dumps(asdict(figure)) + b"\n" for figure in figures)
    sys.exit(any(figure.holds is False for figure in figures))
