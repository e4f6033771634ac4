"""Writes the figures of a run as an OpenMetrics file, for the textfile collector of Prometheus' node exporter.

All figures are gauges: the file describes the folder after its last run. While a run is going on,
`metrics_during_run.py` writes it. A file that can't be written changes nothing for the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from imagen_batch.monitoring.metrics_file import PREFIX, format_families, gauge, replace_file
from imagen_batch.reports.summary import Summary
from imagen_batch.storage import open_storage
from imagen_batch.text import one_line

if TYPE_CHECKING:
    from prometheus_client import Metric

BUCKETS_S = (0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300)
"""Upper limits of the histogram of latency."""

_MAX_REASONS = 50


@dataclass(frozen=True, slots=True)
class Latencies:
    """How long the last attempts of requests took: counts by bucket (the last one has no limit) and their sum."""

    counts: tuple[int, ...]
    seconds: float

    @property
    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative counts under the names of their limits."""
        names = [*(str(float(limit)) for limit in BUCKETS_S), "+Inf"]
        return [(name, float(count)) for name, count in zip(names, accumulate(self.counts), strict=True)]


def write_metrics(path: Path, run: str, *, exit_code: int, summary: Summary | None) -> None:
    """Write the file at once or not at all. Without a summary it says only how the run ended. Raises OSError."""
    replace_file(path, format_metrics(run, exit_code=exit_code, summary=summary))


def format_metrics(run: str, *, exit_code: int, summary: Summary | None) -> bytes:
    """Return the text of the file. `run` is the folder's name or address."""
    return format_families(partial(_metrics, one_line(run, 200), exit_code, summary))


def read_latencies(location: str) -> Latencies | None:
    """Read the latency of each request from the manifest, in flat memory; None if there is none to read."""
    counts, seconds = [0] * (len(BUCKETS_S) + 1), 0.0
    try:
        with pq.ParquetFile(open_storage(location).local("manifest.parquet")) as file:
            previous = None
            for batch in file.iter_batches(columns=["key", "latency_s"]):
                for key, latency in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if latency is not None and key != previous:
                        counts[_bucket(latency)] += 1
                        seconds += latency
                    previous = key
    except (OSError, ValueError, KeyError):
        return None
    return Latencies(tuple(counts), round(seconds, 4))


def _bucket(latency: float) -> int:
    return next((index for index, limit in enumerate(BUCKETS_S) if latency <= limit), len(BUCKETS_S))


def _metrics(run: str, exit_code: int, summary: Summary | None) -> Iterator[Metric]:
    yield gauge("running", "1 while a run is going on, 0 after its end", [({"run": run}, 0.0)])
    yield gauge("exit_code", "Exit code of the last run", [({"run": run}, float(exit_code))])
    ended = (summary.facts.finished_at if summary else None) or datetime.now(UTC)
    yield gauge("end_timestamp_seconds", "When the last run ended", [({"run": run}, ended.timestamp())])
    if summary is None:
        return
    started = summary.facts.started_at
    yield gauge("start_timestamp_seconds", "When the last run began", [({"run": run}, started.timestamp())])
    yield _samples(run, summary)
    attempts = [({"run": run, "of": "folder"}, float(summary.attempts))]
    if summary.facts.run_attempts is not None:
        attempts.append(({"run": run, "of": "run"}, float(summary.facts.run_attempts)))
    yield gauge("attempts", "HTTP calls, of all runs into the folder and of the last one", attempts)
    refused = float(summary.facts.refused_429)
    yield gauge("rate_limited", "Attempts that were answered with 429, of all runs", [({"run": run}, refused)])
    yield _cost(run, summary)
    if (latencies := read_latencies(summary.facts.out)) is not None:
        yield _histogram(run, latencies)


def _samples(run: str, summary: Summary) -> Metric:
    """Samples by status and reason; those of the rarest reasons are counted under `other`."""
    found: Counter[tuple[str, str]] = Counter()
    for number, (group, _) in enumerate(summary.causes):
        reason = group.filter_category or group.error_kind or ""
        found[group.status, one_line(str(reason), 60) if number < _MAX_REASONS else "other"] += group.count
    for status, count in summary.counts.items():
        explained = sum(explained for (other, _), explained in found.items() if other == status)
        if count > explained or status == "ok":
            found[status, ""] += max(0, count - explained)
    values = [
        ({"run": run, "status": status, "reason": reason}, float(count)) for (status, reason), count in found.items()
    ]
    return gauge("samples", "Requested images by status and reason", values)


def _cost(run: str, summary: Summary) -> Metric:
    amounts = {"low": summary.cost_low_usd, "high": summary.cost_high_usd, "last_run": summary.facts.run_usd}
    simulated = "true" if summary.facts.provider == "simulator" else "false"
    values = [
        ({"run": run, "of": name, "simulated": simulated}, round(float(amount), 6))
        for name, amount in amounts.items()
        if amount is not None
    ]
    return gauge("cost_usd", "Cost of the folder, at least and at most, and of the last run", values)


def _histogram(run: str, latencies: Latencies) -> Metric:
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

    family = HistogramMetricFamily(
        f"{PREFIX}_latency_seconds", "Last attempt of each request, with its wait for the rate", labels=["run"]
    )
    family.add_metric([run], latencies.buckets, latencies.seconds)
    return family
