"""Is it fast? All benchmarks of speed in turn, and one table of their figures.

    python -m benchmarks.run_all [full]

Each in a process of its own, and what it prints goes by. `full` takes 40 minutes, else it is 9. Ends with 1 when a
target is missed.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from benchmarks.support.figures import TOLD_IN, Figure, table

HERE = Path(__file__).parent
QUICK = (
    ("support.replay_server",),
    ("speed.cpu_per_image", "3"),
    ("speed.latency_hiding", "2"),
    ("speed.memory", "1"),
    ("speed.startup", "3"),
    ("speed.prefect_overhead", "1000"),
    ("speed.million_rows", "1000", "10000", "100000"),
    ("reliability.worker_loss",),
    ("reliability.object_store",),
)
FULL = (
    ("support.replay_server",),
    ("speed.cpu_per_image", "5"),
    ("speed.latency_hiding", "5"),
    ("speed.memory", "3"),
    ("speed.startup", "5"),
    ("speed.prefect_overhead", "1000", "20000"),
    ("speed.million_rows",),
    ("reliability.worker_loss",),
    ("reliability.object_store",),
    ("reliability.quota_usage",),
)


def main() -> None:
    """Run them all."""
    figures = [figure for command in (FULL if "full" in sys.argv[1:] else QUICK) for figure in _figures(command)]
    print(f"\n{machine()}\n\n{table(figures)}")
    sys.exit(any(figure.holds is False for figure in figures))


def machine() -> str:
    """The machine's kind, in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, Python {platform.python_version()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _figures(command: tuple[str, ...]) -> list[Figure]:
    """Run a benchmark; what it told, and a line for one whose laws are broken or that tells no figures."""
    print(f"\n{' '.join(command)}", flush=True)
    with tempfile.NamedTemporaryFile() as told:
        asked = [sys.executable, str(HERE / command[0]), *command[1:]]
        ended = subprocess.run(asked, env={**os.environ, TOLD_IN: told.name}, check=False).returncode
        figures = [Figure(**orjson.loads(line)) for line in told.read().splitlines()]
    if not figures or (ended and all(figure.holds is not False for figure in figures)):
        figures.append(Figure(command[0].removesuffix(".py"), "its own laws", "all hold", ended == 0))
    return figures


if __name__ == "__main__":
    main()
