"""Runs all speed benchmarks in turn and prints one table of their figures.

    python -m benchmarks.run_all [full]

Each benchmark runs in its own process and prints to the terminal. The full set takes 40 minutes, the quick one 10.
Exits with 1 when a target is missed.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from benchmarks.support.figures import FIGURES_FILE, Figure, table

ROOT = Path(__file__).parents[1]
QUICK = (
    ("support.replay_server",),
    ("speed.cpu_per_image", "3"),
    ("speed.tls", "3"),
    ("speed.c_limit", "3"),
    ("speed.latency_hiding", "2"),
    ("speed.memory", "1"),
    ("speed.startup", "3"),
    ("speed.image_warnings",),
    ("speed.prefect_overhead", "1000"),
    ("speed.million_rows", "1000", "10000", "100000"),
    ("reliability.worker_loss",),
    ("reliability.object_store",),
)
FULL = (
    ("support.replay_server",),
    ("speed.cpu_per_image", "5"),
    ("speed.tls", "5"),
    ("speed.c_limit", "5"),
    ("speed.latency_hiding", "5"),
    ("speed.memory", "3"),
    ("speed.startup", "5"),
    ("speed.image_warnings",),
    ("speed.prefect_overhead", "1000", "20000"),
    ("speed.million_rows",),
    ("reliability.worker_loss",),
    ("reliability.object_store",),
    ("reliability.quota_usage",),
)


def main() -> None:
    """Run the benchmarks and print the table."""
    figures = [figure for command in (FULL if "full" in sys.argv[1:] else QUICK) for figure in _run(command)]
    print(f"\n{machine()}\n\n{table(figures)}")
    sys.exit(any(figure.holds is False for figure in figures))


def machine() -> str:
    """Describe the machine in one line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, Python {platform.python_version()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _run(command: tuple[str, ...]) -> list[Figure]:
    """Run a benchmark; return its figures, and a line for a benchmark that failed a check or has no figures."""
    print(f"\n{' '.join(command)}", flush=True)
    with tempfile.NamedTemporaryFile() as file:
        module = [sys.executable, "-m", f"benchmarks.{command[0]}", *command[1:]]
        env = {**os.environ, FIGURES_FILE: file.name}
        exit_code = subprocess.run(module, cwd=ROOT, env=env, check=False).returncode
        figures = [Figure(**orjson.loads(line)) for line in file.read().splitlines()]
    if not figures or (exit_code and all(figure.holds is not False for figure in figures)):
        figures.append(Figure(command[0], "its own checks", "all passed", exit_code == 0))
    return figures


if __name__ == "__main__":
    main()
