"""Builds the texts and links of a run's page in Prefect: artifact keys, the manifest's address, lines of the log."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imagen_batch.reports.render import to_json
from imagen_batch.reports.summary import Summary
from imagen_batch.storage import is_url
from imagen_batch.text import plural

_MAX_CAUSES = 100


def artifact_key(kind: str, name: str) -> str:
    """Return the key of an artifact: lower-case letters, digits and dashes."""
    folded = re.sub(r"[^a-z0-9]+", "-", Path(name).name.lower()).strip("-")
    return f"imagen-batch-{kind}-{folded or 'run'}"[:200].rstrip("-")


def link_to_manifest(location: str) -> str:
    """Return the address of the manifest in the folder or bucket `location`."""
    return f"{location}/manifest.csv" if is_url(location) else (Path(location) / "manifest.csv").resolve().as_uri()


def tag_of_host() -> str:
    """Return the tag of runs that this machine makes."""
    return f"host:{socket.gethostname()}"


DESCRIPTIONS = {
    "summary": "what was made, what is missing and why, what it cost, and what to do next",
    "manifest": "the table with a row for each requested image, in the folder of the run",
    "causes": "why images are missing, most frequent first",
}
"""Descriptions of the artifacts of a run, by kind."""


def top_causes(summary: Summary) -> list[dict[str, Any]]:
    """Return the rows of the table of causes."""
    causes: list[dict[str, Any]] = to_json(summary)["causes"]
    return causes[:_MAX_CAUSES]


def describe_progress(images: int, started: float) -> str:
    """Return the description of the progress artifact."""
    return f"{plural(images, 'image')}, started {format_time(started)}"


def describe_shard_start(number: int, requests: int, started: float) -> str:
    """Return the first line of a shard's log."""
    return f"shard {number}: {plural(requests, 'request')}, started {format_time(started)}"


def describe_shard_end(number: int, requests: int, seconds: float, *, stopped: bool = False) -> str:
    """Return the last line of a shard's log."""
    if stopped:
        return f"shard {number}: ended after {seconds:.1f} s, as the run stopped"
    rate = f", {60 * requests / seconds:,.0f} requests a minute" if seconds > 0 else ""
    return f"shard {number}: {plural(requests, 'request')} done in {seconds:.1f} s{rate}"


def format_time(at: float) -> str:
    """Return a time as text, to the second."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
