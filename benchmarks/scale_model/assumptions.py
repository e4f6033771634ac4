"""Lists the figures behind the model of very large jobs, with the source of each.

measured   by us: with the named benchmark, or in November 2026 on 2 vCPU with Python 3.11 by a small run
read       from our own code
documented by the service's or the store's documentation, or by its users
assumed    without a source: try other values
"""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400.0
MONTH_DAYS = 30.0


@dataclass(frozen=True)
class Service:
    """The image service, for one project."""

    per_minute: float = (
        595.0  # documented: at most 200 USD in 10 minutes (tier 3); its limits of requests are not public
    )
    usd_month: float = 20_000.0  # documented: what tier 3 may spend at first
    spread: float = 0.5  # assumed: projects have from this much less to this much more than `per_minute`
    latency_s: float = 13.5  # documented: users say 12 to 15 s for an image of 1K; a mean
    latency_sigma: float = 0.5  # assumed: of the logarithm, as in the laboratory that sized our shards
    transient: float = 0.01  # assumed: attempts that end with a 503 or without a reply
    lost: float = 0.1  # assumed: of these, the share that was charged anyway
    refused: float = 0.0  # assumed: 429s within the rate, as where others share the quota; more are tried
    refused_s: float = 0.3  # assumed: time until a 429 arrives
    hold_s: float = 1.0  # assumed: the requested pause
    usd: float = 0.0336  # documented: the catalogue's price of an image of 1K
    image_bytes: float = 1.4e6  # measured: a PNG of 1K (costs of the steps)
    reply_bytes: float = 1.9e6  # measured: the same as base64 in JSON


@dataclass(frozen=True)
class Store:
    """Object storage like S3."""

    part_s: float = 0.03  # assumed: to put a part of a ledger from the same region
    image_s: float = 0.12  # assumed: to put an image
    far_s: float = 0.15  # assumed: either takes so much longer from another region
    puts_a_second: float = 3500.0  # documented: of one prefix
    gets_a_second: float = 5500.0  # documented: of one prefix
    page: float = 1000.0  # documented: names in one answer to LIST
    usd_put: float = 5e-6  # documented: PUT, LIST
    usd_get: float = 4e-7  # documented: GET, HEAD; DELETE is free
    usd_gb_month: float = 0.023  # documented
    usd_gb_moved: float = 0.02  # documented: from one region to another


@dataclass(frozen=True)
class Tool:
    """The cost of our own code."""

    row_s: float = 20e-6  # measured: a resume of 1,000,000 rows takes 19.3 and 20.0 s (docs/performance.md)
    row_bytes: float = 280.0  # measured: 281 and 264 MB above 1,000 rows (million_rows.py)
    dispatch_s: float = 10e-6  # measured: pack a task, unpack a report, for a request
    image_s: float = 4.5e-3  # measured: a worker's CPU (costs of the steps)
    idle_bytes: float = 130e6  # measured: a process that has imported all
    slot_bytes: float = 200e6 / 64  # the target
    input_bytes: float = 106.0  # measured: a row of a prompt file with four columns
    ledger_bytes: float = 1170.0  # measured: `sent` and `done` of an image
    csv_bytes: float = 480.0  # measured: a row of manifest.csv
    parquet_bytes: float = 143.0  # measured: a row of manifest.parquet and metadata.parquet
    slots: int = 32  # read: --concurrency
    most_slots: int = 1024  # read: the largest one
    merge_after: float = 1000.0  # read: parts of a ledger that become one
    lease_every_s: float = 5.0  # read: GET and PUT
    control_every_s: float = 2.0  # read: PUT by the run, GET by each worker, LIST for each shard in progress
    claims: int = 2  # read: shards in progress on a worker
    takeover_s: float = 50.0  # read: after a run's death its lock is waited for, then its workers' silence
    prefect_tasks_a_second: float = 30.0  # measured: what its server digests
    prefect_db_bytes: float = 25e3  # measured: for a task run


@dataclass(frozen=True)
class Machines:
    """What the job runs on."""

    cores: int = 2  # assumed, of each
    memory_bytes: float = 16e9  # assumed: the one that plans
    disk_bytes: float = 200e9  # assumed: the one that plans
    net_bytes_s: float = 1.25e9 / 4  # assumed: steady, of a machine with bursts of 10 Gbit/s
    deaths_a_day: float = 0.02  # assumed: of one
    replaced_s: float = 300.0  # assumed: until another one does its work
    fetch_bytes_s: float = 100e6  # assumed: from the store


@dataclass(frozen=True)
class Assumptions:
    """All figures together."""

    prompts: int = 100_000_000
    projects: int = 100
    regions: int = 4
    slots: int = 200  # in flight for a project; what the quota takes at this latency, and a third more
    workers: int = 1  # machines for a project
    service: Service = Service()
    store: Store = Store()
    tool: Tool = Tool()
    machines: Machines = Machines()
