"""How is a benchmark's figure told, to who runs it and to the one table of all?"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

import orjson

TOLD_IN = "BENCHMARK_FIGURES"
"""The variable that names the file to add figures to, as JSON lines."""


@dataclass(frozen=True)
class Figure:
    """What was measured, in words. `holds` is None where there is no target."""

    name: str
    figure: str
    target: str = ""
    holds: bool | None = None


def at_most(name: str, value: float, limit: float, unit: str = "") -> Figure:
    """A figure that must not be larger than `limit`."""
    return Figure(name, f"{value:.2f}{unit}", f"<= {limit:.2f}{unit}", value <= limit)


def at_least(name: str, value: float, limit: float, unit: str = "") -> Figure:
    """A figure that must not be smaller than `limit`."""
    return Figure(name, f"{value:.2f}{unit}", f">= {limit:.2f}{unit}", value >= limit)


def table(figures: Sequence[Figure]) -> str:
    """A line for each figure, in columns."""
    words = {None: "", True: "yes", False: "NO"}
    rows = [("", "figure", "target", "holds"), *((f.name, f.figure, f.target, words[f.holds]) for f in figures)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def tell(figures: Sequence[Figure]) -> NoReturn:
    """Print the figures, and end the benchmark: with 1 when a target is missed."""
    print(table(figures), flush=True)
    if told_in := os.environ.get(TOLD_IN):
        with Path(told_in).open("ab") as file:
            file.writelines(orjson.dumps(asdict(figure)) + b"\n" for figure in figures)
    sys.exit(any(figure.holds is False for figure in figures))
