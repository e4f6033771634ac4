"""A redo that is killed at any moment is continued as the same version, and nothing that arrived is paid twice."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.storage import LEDGER
from tests.runs.test_redo import by_name, carry_out, go, images, review, sent
from tests.support.killing import each_change
from tests.support.runs import write_csv

ROWS = [{"id": "cover", "prompt": "a cover"}, {"id": "boat", "prompt": "a boat"}]

ROOT = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def sim():
    """A simulator that counts its requests."""
    with Simulator() as running:
        yield running


def test_a_kill_between_any_two_changes_of_the_folder_pays_for_no_image_twice(tmp_path, sim):
    """The folder is copied before and after each change; each copy is what a kill leaves, and is continued."""
    source, folder = write_csv(tmp_path / "book.csv", ROWS), tmp_path / "out"
    go(source, sim)
    first = set(images(folder).values())
    copies = []

    def copy():
        copies.append(tmp_path / f"copy{len(copies)}")
        shutil.copytree(folder, copies[-1], ignore=shutil.ignore_patterns("lock"), dirs_exist_ok=False)

    with each_change(copy):
        review(folder, "redo", "boat", prompt="a boat at night")
        go(source, sim, redo=True, concurrency=1)
    final = by_name(go(source, sim))["boat", 1]
    assert final["version"] == 2
    data = (folder / final["file"]).read_bytes()
    for left in copies[:: max(1, len(copies) // 40)]:
        arrived = any(path.read_bytes() == data for path in left.rglob("*") if path.is_file())
        marked = any(b'"t":"review"' in path.read_bytes() for path in (left / LEDGER).iterdir())
        chosen = make_settings(
            {"prompts": str(source), "out": str(left), "provider": "simulator", "base_url": sim.url, "redo": True}
        )
        ran, prompts = sent(sim, lambda chosen=chosen: carry_out(chosen))
        assert prompts == (["a boat at night"] if marked and not arrived else [])
        assert by_name(ran)["boat", 1]["version"] == (2 if marked else 1)
        assert set(images(left).values()) >= first
        assert audit(left).clean
        shutil.rmtree(left)


def test_a_redo_killed_by_sigkill_while_it_waits_for_the_reply_is_sent_once_more_as_the_same_version(tmp_path):
    """The order survives; the lost attempt counts as possibly charged."""
    script = (
        "import sys; from tests.runs.test_redo import *; "
        "carry_out(load_settings_to_continue(sys.argv[1], {'redo': True}))"
    )
    with Simulator(latency=0.3) as sim:
        source, folder = write_csv(tmp_path / "book.csv", ROWS), tmp_path / "out"
        go(source, sim)
        review(folder, "redo", "boat")
        before = len(sim.requests)
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(folder)], env={**os.environ, "PYTHONPATH": ROOT}
        )
        deadline = time.monotonic() + 60
        while len(sim.requests) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
        ran, prompts = sent(sim, lambda: carry_out(load_settings_to_continue(folder, {})))
        assert prompts == ["a boat"]
        assert by_name(ran)["boat", 1]["version"] == 2
        assert ran.summary.lost_attempts == 1
        assert sent(sim, lambda: carry_out(load_settings_to_continue(folder, {"redo": True})))[1] == []
