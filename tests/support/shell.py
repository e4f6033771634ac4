"""Runs command lines in this process and without Prefect."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from imagen_batch.cli.dispatch import main
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.planning.pending import count_pending
from imagen_batch.runs.run import open_run


def launch_without_prefect(settings, observer, *, samples_to_remake=None, simulator=None):
    """Do what `orchestration.launch_run.launch` does, without Prefect."""
    plan = prepare_plan(settings, today=datetime.now(UTC).date(), confirm=observer.confirm)
    plan = replace(plan, samples_to_remake=samples_to_remake)
    with open_run(plan, env=os.environ, command=observer.command, simulator=simulator, notify=observer.notify) as run:
        if count_pending(run.plan, run.history).requests:
            for stage in run.stages():
                for shard in stage:
                    run.generate_shard(shard)
        return run.finish()


@dataclass
class Shell:
    """A terminal in its own folder."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    here: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *words: object) -> CommandResult:
        """Run a command and wait until it ends."""
        with self._inside():
            try:
                code = main([str(word) for word in words])
            except SystemExit as error:
                code = int(str(error.code))
        printed = self.capture.readouterr()
        return CommandResult(code, printed.out, printed.err)

    def paste(self, line: str) -> CommandResult:
        """Run a command line as a shell would."""
        program, *words = shlex.split(line)
        assert program == "imagen-batch", line
        return self.run(*words)

    @contextmanager
    def _inside(self):
        with self.patch.context() as patch:
            patch.chdir(self.here)
            for name in [name for name in os.environ if name.startswith("IMAGEN_BATCH_")]:
                patch.delenv(name)
            for name, text in self.env.items():
                patch.setenv(name, text)
            patch.setattr("imagen_batch.orchestration.launch_run.launch", launch_without_prefect)
            patch.setattr("signal.signal", lambda *_: None)
            yield


@dataclass(frozen=True)
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return what `--json` printed."""
        return json.loads(self.out)


def manifest(folder: Path) -> list[dict[str, Any]]:
    """Read the manifest of a folder."""
    return list(pq.read_table(folder / "manifest.parquet").to_pylist())
