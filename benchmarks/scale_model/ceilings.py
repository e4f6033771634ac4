"""Calculates the capacity of each part of one run, in images a second or in rows.

This is arithmetic: it does not depend on the order of events.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.scale_model.assumptions import DAY_S, MONTH_DAYS, Assumptions
from benchmarks.scale_model.traffic import Flow
from imagen_batch.planning.requests_and_shards import shard_size

WEEK_S = 7 * DAY_S
RESUME_S = 600.0  # longer is too long
SHEET_ROWS = 2**20  # the limit of a spreadsheet
TASKS = 1000  # a run is meant to have hundreds
PUTS = 3  # for an image: itself, `sent`, `done`


@dataclass(frozen=True)
class Ceiling:
    """`limit` is in images a second, or in rows; `why` explains the limit, `change` says how to raise it."""

    part: str
    limit: float
    why: str
    change: str


@dataclass(frozen=True)
class Operations:
    """Operations on the store. `kept_bytes` is the size of all objects at the end."""

    put: float
    list: float
    get: float
    kept_bytes: float

    @property
    def total(self) -> float:
        """Return the sum of all operations."""
        return self.put + self.list + self.get


def rates(assumed: Assumptions) -> list[Ceiling]:
    """Return the images a second that each part of one run allows, the narrowest first."""
    service, store, tool, machines = assumed.service, assumed.store, assumed.tool, assumed.machines
    slot_s = service.latency_s + 3 * store.part_s + store.image_s  # a record often waits for another part's end
    shards = tool.prefect_tasks_a_second
    size = shard_size(assumed.prompts)
    moved = service.reply_bytes + service.image_bytes
    return _narrowest_first(
        ("spending limit of a month", service.usd_month / service.usd / MONTH_DAYS / DAY_S, "tier 3's first", "ask"),
        ("slots by default", tool.slots / slot_s, f"{tool.slots} in flight", "--concurrency"),
        ("quota", service.per_minute / 60, "one key, one project", "a run for each project"),
        ("slots at most", tool.most_slots / slot_s, f"{tool.most_slots:,} in flight", "more runs"),
        ("network of a machine", machines.net_bytes_s / moved, "reply in, image out", "--runner dask or ray"),
        ("CPU of a machine", machines.cores / tool.image_s, f"{machines.cores} cores", "--runner dask or ray"),
        ("puts below a prefix", store.puts_a_second / PUTS, f"{PUTS} an image", "more runs: each has a prefix"),
        ("Prefect's event queue", shards * size, f"{shards:.0f} shards a second, {size:,} each", "nothing"),
        ("CPU of the planning machine", 1 / tool.dispatch_s, "tasks and reports", "nothing"),
    )


def sizes(assumed: Assumptions) -> list[Ceiling]:
    """Return the rows at which each part of one run reaches its limit, the smallest first."""
    service, tool, machines = assumed.service, assumed.tool, assumed.machines
    memory, disk = machines.memory_bytes - tool.idle_bytes, machines.disk_bytes
    again_s = tool.row_s + tool.ledger_bytes / machines.fetch_bytes_s
    on_disk = 2 * tool.input_bytes + tool.ledger_bytes + tool.csv_bytes + tool.parquet_bytes
    return _narrowest_first(
        ("manifest.csv", SHEET_ROWS, "no spreadsheet opens it", "Parquet only"),
        ("Prefect's pages", TASKS * shard_size(assumed.prompts), f"over {TASKS:,} shards", "a flow run for each run"),
        ("quota", service.per_minute / 60 * WEEK_S, "over a week", "a run for each project"),
        ("resume", RESUME_S / again_s, "over 10 minutes", "smaller runs; ledgers folded in parallel"),
        ("memory of the plan", memory / tool.row_bytes, f"over {machines.memory_bytes / 1e9:.0f} GB", "smaller runs"),
        ("disk of the plan", disk / on_disk, f"ledger, tables: {disk / 1e9:.0f} GB", "smaller runs"),
    )


def operations(assumed: Assumptions, rows: int, flowing: Flow, *, resumes: int = 0) -> Operations:
    """Return the operations of runs with `rows` rows in total, and the bytes they store."""
    store, tool, service = assumed.store, assumed.tool, assumed.service
    seconds = rows / flowing.a_second
    merged = rows * flowing.parts / tool.merge_after
    renewed, spoken = seconds / tool.lease_every_s, seconds / tool.control_every_s
    workers = assumed.workers if assumed.workers > 1 else 0  # a single worker exchanges no messages
    return Operations(
        put=rows * (1 + flowing.parts) + merged + renewed + (spoken if workers else 0),
        list=(rows + merged * (1 + resumes)) / store.page + spoken * workers * tool.claims,
        get=renewed + merged * (1 + resumes) + spoken * workers,
        kept_bytes=rows * (service.image_bytes + tool.ledger_bytes + tool.csv_bytes + tool.parquet_bytes),
    )


def planning_bytes(assumed: Assumptions, rows: int) -> float:
    """Return the memory of the process that plans and keeps account."""
    return assumed.tool.idle_bytes + rows * assumed.tool.row_bytes


def making_bytes(assumed: Assumptions) -> float:
    """Return the memory of a process that makes images."""
    return assumed.tool.idle_bytes + assumed.slots / assumed.workers * assumed.tool.slot_bytes


def workers_at_most(assumed: Assumptions) -> float:
    """Return the number of workers of one run whose polling alone uses up the requests of a prefix."""
    return assumed.store.gets_a_second * assumed.tool.control_every_s / (1 + assumed.tool.claims)


def _narrowest_first(*found: tuple[str, float, str, str]) -> list[Ceiling]:
    return sorted((Ceiling(*fields) for fields in found), key=lambda ceiling: ceiling.limit)
