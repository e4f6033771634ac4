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

from benchmarks.scale_model.assumptions import DAY_S, MONTH_DAYS, Assumptions
from benchmarks.scale_model.ceilings import making_bytes, operations, planning_bytes, rates, sizes, workers_at_most
from benchmarks.scale_model.fleet import fleet, resume_s
from benchmarks.scale_model.traffic import Flow, flow
from imagen_batch.planning.requests_and_shards import shard_size

SWEEP = (100_000, 1_000_000, 10_000_000, 100_000_000)
ROWS_OF_A_RUN = (2_000_000, 1_000_000, 500_000, 200_000, 50_000)
REFUSED = (0.0001, 0.001, 0.01)

Rows = Iterator[tuple[str, ...]]


def main() -> None:
    """Print the tables."""
    asked = [int(argument) for argument in sys.argv[1:]]
    prompts, projects, regions, seed = (*asked, *(100_000_000, 100, 4, 1)[len(asked) :])
    assumed = Assumptions(prompts=prompts, projects=projects, regions=regions)
    flowing = flow(assumed, seed=seed)
    _show(f"one run, as it flows: {assumed.service.per_minute:.0f} requests a minute", _flows(assumed, seed))
    _show("one run with one project, as the tool is today", _one_run(assumed, flowing, seed))
    _show("what each part of one run carries", _rates(assumed))
    _show("where each part of one run ends", _sizes(assumed))
    _show(f"{prompts:,} prompts in many runs, {projects} projects", _many_runs(assumed, flowing, seed))
    _show("what they cost, and with 4 workers for each project", _bill(assumed, seed))
    _show("machines", _machines(assumed, flowing))


def _flows(assumed: Assumptions, seed: int) -> Rows:
    yield "", "quota used", "images/s", "attempts", "parts", "slots busy"
    for name, one, far in _variants(assumed):
        flow_result = flow(one, far=far, seed=seed)
        per_image = f"{flow_result.attempts:.3f}", f"{flow_result.parts:.2f}"
        yield name, f"{flow_result.used:.1%}", f"{flow_result.a_second:.2f}", *per_image, f"{flow_result.slots:.0f}"


def _variants(assumed: Assumptions) -> Iterator[tuple[str, Assumptions, bool]]:
    service, most = assumed.service, assumed.tool.most_slots
    yield f"{assumed.tool.slots} slots (default)", replace(assumed, slots=assumed.tool.slots), False
    yield f"{assumed.slots} slots", assumed, False
    yield f"{assumed.slots} slots, store in another region", assumed, True
    yield f"{assumed.slots} slots, 4 workers", replace(assumed, workers=4), False
    large = replace(service, per_minute=10 * service.per_minute)
    yield f"{most} slots, 10 times the quota", replace(assumed, service=large, slots=most), False
    for refused in REFUSED:
        yield (
            f"{assumed.slots} slots, {refused:.2%} 429",
            replace(assumed, service=replace(service, refused=refused)),
            False,
        )


def _one_run(assumed: Assumptions, flowing: Flow, seed: int) -> Rows:
    yield (
        "rows",
        "days",
        "shards",
        "memory",
        "resume",
        "manifest.csv",
        "operations",
        "for USD",
        "images",
        "too much",
    )
    for rows in SWEEP:
        alone = replace(assumed, prompts=rows, projects=1, service=replace(assumed.service, spread=0.0))
        job = fleet(alone, [rows], flowing, seed=seed)
        asked = operations(alone, rows, flowing, resumes=job.deaths)
        yield (
            _short(rows),
            f"{job.days:.1f}",
            f"{-(-rows // shard_size(rows)):,}",
            f"{planning_bytes(alone, rows) / 1e9:.1f} GB",
            f"{resume_s(alone, rows) / 60:.0f} min",
            f"{rows * assumed.tool.csv_bytes / 1e9:.2f} GB",
            _short(asked.total),
            f"{_usd(assumed, asked.put, asked.list, asked.get):,.0f}",
            f"{rows * assumed.service.usd:,.0f}",
            ", ".join(size.part for size in sizes(assumed) if size.limit < rows),
        )


def _rates(assumed: Assumptions) -> Rows:
    yield "part", "images/s", "a day", "that is", "what moves it"
    for rate in rates(assumed):
        yield rate.part, f"{rate.limit:,.1f}", _short(rate.limit * DAY_S), rate.why, rate.change


def _sizes(assumed: Assumptions) -> Rows:
    yield "part", "rows", "then", "what moves it"
    for size in sizes(assumed):
        yield size.part, _short(size.limit), size.why, size.change


def _many_runs(assumed: Assumptions, flowing: Flow, seed: int) -> Rows:
    yield "rows of a run", "runs", "days", "quota used", "memory", "resume", "deaths", "idle", "twice", "task runs"
    for rows in ROWS_OF_A_RUN:
        whole, rest = divmod(assumed.prompts, rows)
        runs = [rows] * whole + [rest] * bool(rest)
        job = fleet(assumed, runs, flowing, seed=seed)
        tasks = len(runs) * -(-rows // shard_size(rows))
        yield (
            _short(rows),
            f"{len(runs):,}",
            f"{job.days:.2f}",
            f"{job.used:.1%}",
            f"{planning_bytes(assumed, rows) / 1e9:.2f} GB",
            f"{resume_s(assumed, rows) / 60:.1f} min",
            f"{job.deaths}",
            f"{job.idle_s / 3600:.1f} h",
            f"{job.twice:,}",
            (
                f"{_short(tasks)}: {tasks / job.days / DAY_S:.1f}/s, "
                f"{tasks * assumed.tool.prefect_db_bytes / 1e9:.1f} GB"
            ),
        )


def _bill(assumed: Assumptions, seed: int) -> Rows:
    yield "", "how many", "USD", "of the images'", "with 4", "USD"
    service, store = assumed.service, assumed.store
    one, four = (
        operations(variant, assumed.prompts, flow(variant, seed=seed))
        for variant in (assumed, replace(assumed, workers=4))
    )
    images = assumed.prompts * service.usd
    yield "images", _short(assumed.prompts), f"{images:,.0f}", "", "", ""
    for name, price in {"put": store.usd_put, "list": store.usd_put, "get": store.usd_get}.items():
        first, second = getattr(one, name), getattr(four, name)
        share = f"{first * price / images:.3%}"
        yield name.upper(), _short(first), f"{first * price:,.0f}", share, _short(second), f"{second * price:,.0f}"
    moved = assumed.prompts * service.image_bytes * (1 - 1 / assumed.regions)
    for name, size, price in (
        (f"kept {MONTH_DAYS:.0f} days", one.kept_bytes, store.usd_gb_month),
        (f"moved, were one store for {assumed.regions} regions", moved, store.usd_gb_moved),
    ):
        usd = size / 1e9 * price
        yield name, f"{size / 1e12:.0f} TB", f"{usd:,.0f}", f"{usd / images:.3%}", "", ""


def _machines(assumed: Assumptions, flowing: Flow) -> Rows:
    carries = min(rate.limit for rate in rates(assumed) if rate.part.endswith("of a machine"))
    needed = math.ceil(assumed.projects * flowing.a_second / carries)
    yield "a process that makes images, at most", f"{making_bytes(assumed) / 1e9:.2f} GB"
    yield f"one of 4, {assumed.slots // 4} slots each", f"{making_bytes(replace(assumed, workers=4)) / 1e9:.2f} GB"
    yield "projects that a machine carries", f"{carries / flowing.a_second:.1f}"
    yield f"machines for {assumed.projects} projects", f"{needed} of {assumed.machines.cores} cores"
    yield "workers of one run, until looking is all they do", f"{workers_at_most(assumed):,.0f}"


def _usd(assumed: Assumptions, put: float, listed: float, flow_result: float) -> float:
    return (put + listed) * assumed.store.usd_put + flow_result * assumed.store.usd_get


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
