"""Runs a job without Prefect, as a command.

    python -m benchmarks.support.without_prefect PROMPTS URL CONCURRENCY

The run goes into `out` beside the prompt file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.support.jobs import job

if __name__ == "__main__":
    prompts, service, at_once = sys.argv[1:]
    job(Path(prompts), service, concurrency=int(at_once))
