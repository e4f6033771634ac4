"""Tests the Python API in a user's own project, which has packages called `flows`, `prompts` and `tests`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import environment
from tests.support.runs import write_csv

PACKAGES = ("flows", "prompts", "tests")
CHECKS = """
import json, logging, signal, sys
import pandas as pd
import flows, prompts, tests  # the user's
from imagen_batch import Settings, open_images, plan, read_manifest, run

def handler(number, frame):
    raise KeyboardInterrupt

def state():
    root = logging.getLogger()
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), root.level, list(root.handlers)

signal.signal(signal.SIGTERM, handler)
logging.basicConfig(level=logging.WARNING, format="mine: %(message)s")
before = state()
"""
SCRIPT = f"""{CHECKS}
assert plan("book.csv", provider="simulator")["rows"] == 2
summary = run("book.csv", provider="simulator", out="a")
table = run(pd.read_csv("book.csv"), provider="simulator", out="b")
assert list(read_manifest("a")["key"]) == list(read_manifest("b")["key"])
assert state() == before
print(json.dumps([summary.counts["ok"], table.counts["ok"], len(list(open_images("a")))]))
"""
FLOW = f"""{CHECKS}
from prefect import flow
from imagen_batch.orchestration import generate_images

@flow
def book_project():
    inside = state()  # Prefect handles SIGTERM while a flow runs
    summary = run("book.csv", provider="simulator", out="a")
    assert state() == inside
    done = generate_images(Settings(prompts="book.csv", provider="simulator", out="b"), return_state=True)
    assert state() == inside
    return [summary.counts["ok"], done.name, len(read_manifest("b")), len(list(open_images("a")))]

if __name__ == "__main__":
    print(json.dumps(book_project()))
    assert state()[:2] == before[:2]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write the packages and a prompt file."""
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("OWNER = 'the user'\n")
    write_csv(tmp_path / "book.csv", [{"prompt": "a mole", "seed": 7}, {"prompt": "a rat", "seed": ""}])
    return tmp_path


def _execute(project: Path, code: str, **env: str) -> Any:
    (project / "build.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "build.py"],
        cwd=project,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_script_uses_the_api_beside_packages_of_the_same_names(project: Path) -> None:
    """Its signal handlers and its logging stay as they are."""
    assert _execute(project, SCRIPT) == [2, 2, 2]


@pytest.mark.prefect
def test_a_flow_of_the_user_calls_the_api_and_the_flow(
    project: Path, prefect_server: Any, prefect_home: Path
) -> None:
    """`run` works inside a flow, and `generate_images` is its subflow."""
    env = {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}
    assert _execute(project, FLOW, **env) == [2, "Completed", 2, 2]
