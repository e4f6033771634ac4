"""Models jobs of up to 100 million prompts: bottlenecks, machines and cost.

    python -m benchmarks.scale_model.internet [PROMPTS=100000000] [PROJECTS=100] [REGIONS=4] [SEED=1]

This is a simulation: nothing is sent. `assumptions.py` has every figure with its source; `traffic.py` simulates an
hour of one run with the tool's own pace; `fleet.py` simulates the whole job; `ceilings.py` is arithmetic. It takes
seconds and always prints the same.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.scale_model.assumptions import DAY_S, MONTH_DAYS, Given
from benchmarks.scale_model.ceilings import making_bytes, operations, planning_bytes, rates, sizes, workers_at_most
from benchmarks.scale_model.fleet import fleet, resume_s
from benchmarks.scale_model.traffic import Flow, flow
from imagen_batch.planning.requests import shard_size

SWEEP = (100_000, 1_000_000, 10_000_000, 100_000_000)
ROWS_OF_A_RUN = (2_000_000, 1_000_000, 500_000, 200_000, 50_000)
REFUSED = (0.0001, 0.001, 0.01)

Rows = Iterator[tuple[str, ...]]


def main() -> None:
    """Print the tables."""
    asked = [int(argument) for argument in sys.argv[1:]]
    prompts, projects, regions, seed = (*asked, *(100_000_000, 100, 4, 1)[len(asked) :])
    given = Given(prompts=prompts, projects=projects, regions=regions)
    flowing = flow(given, seed=seed)
    _show(f"one run, as it flows: {given.service.per_minute:.0f} requests a minute", _flows(given, seed))
    _show("one run with one project, as the tool is today", _one_run(given, flowing, seed))
    _show("what each part of one run carries", _rates(given))
    _show("where each part of one run ends", _sizes(given))
    _show(f"{prompts:,} prompts in many runs, {projects} projects", _many_runs(given, flowing, seed))
    _show("what they cost, and with 4 workers for each project", _bill(given, seed))
    _show("machines", _machines(given, flowing))


def _flows(given: Given, seed: int) -> Rows:
    yield "", "quota used", "pictures/s", "attempts", "parts", "slots busy"
    for name, one, far in _ways(given):
        got = flow(one, far=far, seed=seed)
        per_picture = f"{got.attempts:.3f}", f"{got.parts:.2f}"
        yield name, f"{got.used:.1%}", f"{got.a_second:.2f}", *per_picture, f"{got.slots:.0f}"


def _ways(given: Given) -> Iterator[tuple[str, Given, bool]]:
    service, most = given.service, given.tool.most_slots
    yield f"{given.tool.slots} slots (default)", replace(given, slots=given.tool.slots), False
    yield f"{given.slots} slots", given, False
    yield f"{given.slots} slots, store in another region", given, True
    yield f"{given.slots} slots, 4 workers", replace(given, workers=4), False
    large = replace(service, per_minute=10 * service.per_minute)
    yield f"{most} slots, 10 times the quota", replace(given, service=large, slots=most), False
    for refused in REFUSED:
        yield (
            f"{given.slots} slots, {refused:.2%} 429",
            replace(given, service=replace(service, refused=refused)),
            False,
        )


def _one_run(given: Given, flowing: Flow, seed: int) -> Rows:
    yield (
        "rows",
        "days",
        "shards",
        "memory",
        "resume",
        "manifest.csv",
        "operations",
        "for USD",
        "pictures",
        "too much",
    )
    for rows in SWEEP:
        alone = replace(given, prompts=rows, projects=1, service=replace(given.service, spread=0.0))
        job = fleet(alone, [rows], flowing, seed=seed)
        asked = operations(alone, rows, flowing, resumes=job.deaths)
        yield (
            _short(rows),
            f"{job.days:.1f}",
            f"{-(-rows // shard_size(rows)):,}",
            f"{planning_bytes(alone, rows) / 1e9:.1f} GB",
            f"{resume_s(alone, rows) / 60:.0f} min",
            f"{rows * given.tool.csv_bytes / 1e9:.2f} GB",
            _short(asked.total),
            f"{_usd(given, asked.put, asked.list, asked.get):,.0f}",
            f"{rows * given.service.usd:,.0f}",
            ", ".join(one.part for one in sizes(given) if one.most < rows),
        )


def _rates(given: Given) -> Rows:
    yield "part", "pictures/s", "a day", "that is", "what moves it"
    for one in rates(given):
        yield one.part, f"{one.most:,.1f}", _short(one.most * DAY_S), one.why, one.change


def _sizes(given: Given) -> Rows:
    yield "part", "rows", "then", "what moves it"
    for one in sizes(given):
        yield one.part, _short(one.most), one.why, one.change


def _many_runs(given: Given, flowing: Flow, seed: int) -> Rows:
    yield "rows of a run", "runs", "days", "quota used", "memory", "resume", "deaths", "idle", "twice", "task runs"
    for rows in ROWS_OF_A_RUN:
        whole, rest = divmod(given.prompts, rows)
        runs = [rows] * whole + [rest] * bool(rest)
        job = fleet(given, runs, flowing, seed=seed)
        tasks = len(runs) * -(-rows // shard_size(rows))
        yield (
            _short(rows),
            f"{len(runs):,}",
            f"{job.days:.2f}",
            f"{job.used:.1%}",
            f"{planning_bytes(given, rows) / 1e9:.2f} GB",
            f"{resume_s(given, rows) / 60:.1f} min",
            f"{job.deaths}",
            f"{job.idle_s / 3600:.1f} h",
            f"{job.twice:,}",
            f"{_short(tasks)}: {tasks / job.days / DAY_S:.1f}/s, {tasks * given.tool.prefect_db_bytes / 1e9:.1f} GB",
        )


def _bill(given: Given, seed: int) -> Rows:
    yield "", "how many", "USD", "of the pictures'", "with 4", "USD"
    service, store = given.service, given.store
    one, four = (operations(way, given.prompts, flow(way, seed=seed)) for way in (given, replace(given, workers=4)))
    pictures = given.prompts * service.usd
    yield "pictures", _short(given.prompts), f"{pictures:,.0f}", "", "", ""
    for name, price in {"put": store.usd_put, "list": store.usd_put, "get": store.usd_get}.items():
        first, second = getattr(one, name), getattr(four, name)
        share = f"{first * price / pictures:.3%}"
        yield name.upper(), _short(first), f"{first * price:,.0f}", share, _short(second), f"{second * price:,.0f}"
    moved = given.prompts * service.picture_bytes * (1 - 1 / given.regions)
    for name, size, price in (
        (f"kept {MONTH_DAYS:.0f} days", one.kept_bytes, store.usd_gb_month),
        (f"moved, were one store for {given.regions} regions", moved, store.usd_gb_moved),
    ):
        usd = size / 1e9 * price
        yield name, f"{size / 1e12:.0f} TB", f"{usd:,.0f}", f"{usd / pictures:.3%}", "", ""


def _machines(given: Given, flowing: Flow) -> Rows:
    carries = min(one.most for one in rates(given) if one.part.endswith("of a machine"))
    needed = math.ceil(given.projects * flowing.a_second / carries)
    yield "a process that makes pictures, at most", f"{making_bytes(given) / 1e9:.2f} GB"
    yield f"one of 4, {given.slots // 4} slots each", f"{making_bytes(replace(given, workers=4)) / 1e9:.2f} GB"
    yield "projects that a machine carries", f"{carries / flowing.a_second:.1f}"
    yield f"machines for {given.projects} projects", f"{needed} of {given.machines.cores} cores"
    yield "workers of one run, until looking is all they do", f"{workers_at_most(given):,.0f}"


def _usd(given: Given, put: float, listed: float, got: float) -> float:
    return (put + listed) * given.store.usd_put + got * given.store.usd_get


def _short(count: float) -> str:
    """Format a number with three significant digits."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.3g}"


def _show(title: str, rows: Rows) -> None:
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for row in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
