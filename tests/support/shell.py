"""Types commands as a user would, in this process and without Prefect."""

from __future__ import annotations

import json
import os
import shlex
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from imagen_batch.cli.commands import main
from imagen_batch.inputs.take_input import take_input
from imagen_batch.planning.pending import count_pending
from imagen_batch.runs.run import open_run


def launch_bare(settings, console, *, lost=None):
    """What `orchestration.launch.launch` does, without a Prefect server around it."""
    plan = take_input(settings, today=datetime.now(UTC).date(), confirm=console.confirm)
    plan.lost = lost
    with open_run(plan, env=os.environ, command=console.command, say=console.say) as run:
        if count_pending(run.plan, run.past).requests:
            for shard in run.shards():
                run.make(shard)
        return run.finish()


@dataclass
class Shell:
    """A terminal in a folder of its own."""

    patch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    here: Path
    env: dict[str, str] = field(default_factory=dict)

    def type(self, *words: object) -> Typed:
        """Run a command and wait for its end."""
        with self._inside():
            try:
                code = main([str(word) for word in words])
            except SystemExit as error:
                code = int(str(error.code))
        said = self.capture.readouterr()
        return Typed(code, said.out, said.err)

    def paste(self, line: str) -> Typed:
        """Run a line as a shell would."""
        program, *words = shlex.split(line)
        assert program == "imagen-batch", line
        return self.type(*words)

    @contextmanager
    def _inside(self):
        with self.patch.context() as patch:
            patch.chdir(self.here)
            for name in [name for name in os.environ if name.startswith("IMAGEN_BATCH_")]:
                patch.delenv(name)
            for name, text in self.env.items():
                patch.setenv(name, text)
            patch.setattr("imagen_batch.orchestration.launch.launch", launch_bare)
            patch.setattr("signal.signal", lambda *_: None)
            yield


@dataclass(frozen=True)
class Typed:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What `--json` printed."""
        return json.loads(self.out)


def manifest(folder: Path) -> list[dict[str, Any]]:
    """The manifest of a folder."""
    return list(pq.read_table(folder / "manifest.parquet").to_pylist())
