"""Formats a list of runs as a table of 80 columns, as a calendar, and as JSON."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta, tzinfo
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
from rich.cells import cell_len

from imagen_batch.overview.run_list import RunEntry
from imagen_batch.text import iso_utc, json_text, plural, printable, usd

_WIDTH = 80
_HEADER = ("started", "state", "images", "cost", "folder")
_TROUBLE = ("killed", "damaged", "stopped", "paused", "budget", "interrupted", "unfinished")


def runs_text(entries: Sequence[RunEntry], root: Path, *, zone: tzinfo | None = None) -> str:
    """Format one line for each run, and their totals. Times are local, or those of `zone`."""
    if not entries:
        return f"No runs found in {printable(str(root))}."
    rows = [_HEADER, *(_cells(entry, zone) for entry in entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    room = _WIDTH - sum(widths) - 2 * 4
    lines = ["  ".join([*_aligned(row, widths), _fit(row[4], room)]).rstrip() for row in rows]
    return "\n".join([*lines, "", *_totals(entries)])


def calendar_text(entries: Sequence[RunEntry], root: Path, *, zone: tzinfo | None = None) -> str:
    """Format one line for each day with runs, newest first, and name the days without any in between."""
    dated = [entry for entry in entries if entry.started_at is not None]
    if not dated:
        return f"No runs with a date found in {printable(str(root))}."

    def day_of(entry: RunEntry) -> date:
        assert entry.started_at is not None
        return entry.started_at.astimezone(zone).date()

    lines = list(_days(sorted(dated, key=day_of, reverse=True), day_of))
    undated = len(entries) - len(dated)
    lines += [f"{plural(undated, 'run')} without a date"] if undated else []
    return "\n".join([*lines, "", *_totals(entries)])


def runs_json(entries: Sequence[RunEntry], root: Path) -> str:
    """Format everything that is known, as one JSON object."""
    facts = {
        "schema_version": 1,
        "root": str(root),
        "runs": [_facts(entry) for entry in entries],
        "total": {
            "runs": len(entries),
            "asked": _sum(entries, "asked"),
            "ok": _sum(entries, "ok"),
            "cost_usd": _money(entries),
        },
    }
    return json_text(facts, option=orjson.OPT_INDENT_2)


def _cells(entry: RunEntry, zone: tzinfo | None) -> tuple[str, ...]:
    started = f"{entry.started_at.astimezone(zone):%Y-%m-%d %H:%M}" if entry.started_at else "-"
    images = f"{entry.samples['ok']:,}/{entry.samples['asked']:,}" if entry.samples else "-"
    return started, entry.state, images, _cost(entry), printable(entry.name)


def _cost(entry: RunEntry) -> str:
    if entry.is_simulated:
        return "simulated"
    return "-" if entry.cost_usd is None else usd(entry.cost_usd)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    started, state, images, cost = row[:4]
    return [
        f"{started:<{widths[0]}}",
        f"{state:<{widths[1]}}",
        f"{images:>{widths[2]}}",
        f"{cost:>{widths[3]}}",
    ]


def _fit(name: str, room: int) -> str:
    """Cut a name in its middle to `room` columns of a terminal; both ends tell folders apart."""
    room = max(room, 12)
    if cell_len(name) <= room:
        return name
    half = (room - 3) // 2
    return f"{_take(name, half)}...{_take(name[::-1], room - 3 - half)[::-1]}"


def _take(text: str, room: int) -> str:
    taken = ""
    for letter in text:
        if cell_len(taken + letter) > room:
            break
        taken += letter
    return taken


def _days(entries: Sequence[RunEntry], day_of: Callable[[RunEntry], date]) -> Iterator[str]:
    previous: date | None = None
    for day, group in groupby(entries, day_of):
        if previous is not None and (gap := (previous - day).days - 1):
            yield f"            no run on {plural(gap, 'day')}" if gap > 1 else f"{previous - timedelta(1)}  no run"
        previous = day
        runs = list(group)
        states = Counter(entry.state for entry in runs)
        trouble = ", ".join(f"{states[state]} {state}" for state in _TROUBLE if states[state])
        running = f", {states['running']} running" if states["running"] else ""
        images = f"{_sum(runs, 'ok'):,} of {plural(_sum(runs, 'asked'), 'image')}"
        line = f"{day} {day:%a}  {plural(len(runs), 'run')}{running}   {images}   {usd(_money(runs))}"
        yield f"{line}   {trouble}" if trouble else line


def _totals(entries: Sequence[RunEntry]) -> Iterator[str]:
    images = f"{_sum(entries, 'ok'):,} of {plural(_sum(entries, 'asked'), 'image')}"
    yield f"{plural(len(entries), 'run')}, {images}, {usd(_money(entries))} without the simulator's"
    killed = next((entry for entry in entries if entry.state == "killed"), None)
    if killed is not None:
        folder = printable(shlex.quote(str(killed.folder)))
        yield f"continue a killed run, without paying twice: imagen-batch resume {folder}"


def _sum(entries: Sequence[RunEntry], name: str) -> int:
    return sum(entry.samples.get(name, 0) for entry in entries)


def _money(entries: Sequence[RunEntry]) -> float:
    return round(sum(entry.cost_usd or 0.0 for entry in entries if not entry.is_simulated), 6)


def _facts(entry: RunEntry) -> dict[str, Any]:
    return {
        "folder": str(entry.folder),
        "name": entry.name,
        "state": entry.state,
        "started_at": entry.started_at and iso_utc(entry.started_at),
        "finished_at": entry.finished_at and iso_utc(entry.finished_at),
        "samples": dict(entry.samples) or None,
        "cost_usd": entry.cost_usd,
        "run_cost_usd": entry.run_cost_usd,
        "provider": entry.provider,
        "exit_code": entry.exit_code,
    }
