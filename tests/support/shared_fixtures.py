"""Provides fixtures to all tests, also to those that run without conftest.py (tests/mutants.py)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from imagen_batch.simulator import Simulator
from tests.support.shell import Shell


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """Run a simulator without faults."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Return a terminal in a separate folder, without Prefect."""
    here = tmp_path / "here"
    here.mkdir()
    return Shell(monkeypatch, capsys, here, {"IMAGEN_BATCH_WAIT_INITIAL": "0"})
