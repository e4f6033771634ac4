"""Runs the real command in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

COMMAND = Path(sys.executable).with_name("imagen-batch")
NO_SERVER = "http://127.0.0.1:9/api"  # for commands that end before Prefect is needed


def command(
    *words: object, here: Path, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `imagen-batch` with the arguments `words` in the folder `here` and wait until it ends."""
    return subprocess.run(
        [str(COMMAND), *map(str, words)],
        cwd=here,
        env=environment(env),
        input=stdin,
        stdin=None if stdin is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without variables that would change a run, plus `env`."""
    prefixes = ("IMAGEN_BATCH_", "GOOGLE_", "GEMINI_", "PREFECT_", "PYTHONSAFEPATH")  # the last: set by launch
    variables = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return {**variables, "PREFECT_API_URL": NO_SERVER, **(env or {})}
