"""Tests that after a patch is killed at any write to the folder, the same command makes no existing image again."""

import csv
import shutil

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.storage.folder import FileLog, Folder
from tests.support.runs import TODAY, FinishedRun, run

IMAGEN = "imagen-4.0-generate-001"
FIRST, SECOND = "a môle", "a crowd"
WRITES = [(Folder, name) for name in ("write", "put", "create", "link", "move", "remove", "reserve")]


class KilledNow(BaseException):
    """The process is killed."""


class Killer:
    """Allows a number of writes and kills the process at the next one."""

    def __init__(self, patch, writes):
        self.left = writes
        for owner, name in (*WRITES, (FileLog, "append")):
            patch.setattr(owner, name, self.guard(getattr(owner, name)))

    def guard(self, method):
        def write(*args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise KilledNow
            return method(*args, **kwargs)

        return write


def run_with(settings):
    with open_run(prepare_plan(settings, today=TODAY), env={}) as current:
        for shard in current.shards():
            current.generate_shard(shard)
        return current.finish()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two rows of four images each; one image is missing, and its row was reworded in failures.csv."""
    base = tmp_path_factory.mktemp("prepared")
    fault = {"match": "a crowd", "fault": "partial", "times": 1, "options": {"count": 1}}
    with Simulator(faults=[fault]) as sim:
        source = base / "p.csv"
        source.write_bytes(
            f"prompt;note\n{FIRST};x\n{SECOND};y\n".encode("cp1252")
        )  # with another encoding and delimiter than the patched input
        ran = run(source, sim, model=IMAGEN, samples=4, encoding="cp1252", delimiter=";")
    failures = [{**line, "prompt": "few"} for line in ran.failures]
    assert len(failures) == 1
    with (ran.folder / "failures.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(failures[0]))
        writer.writeheader()
        writer.writerows(failures)
    return ran.folder


def test_a_patch_may_be_killed_at_every_write(prepared, tmp_path, monkeypatch):
    """At most the image that was in flight is paid for again."""
    before = {row["sha256"] for row in FinishedRun(None, prepared).rows if row["sha256"]}
    writes, ended = 0, False
    while not ended:
        folder = tmp_path / str(writes)
        shutil.copytree(prepared, folder)
        with Simulator() as sim:
            patch = make_settings({"prompts": str(folder / "failures.csv"), "base_url": sim.url, "concurrency": 1})
            with monkeypatch.context() as killing:
                Killer(killing, writes)
                try:
                    run_with(patch)
                    ended = True
                except KilledNow:
                    pass
            has_lines = (folder / "failures.csv").read_text().count("\n") > 1
            if has_lines:
                run_with(patch)
            summary = run_with(load_settings_to_continue(folder, {"base_url": sim.url}))
            assert summary.exit_code == 0, writes
            assert sim.bill.total <= 2, writes
        rows = FinishedRun(None, folder).rows
        assert before <= {row["sha256"] for row in rows}, writes
        assert sorted(row["prompt"] for row in rows) == [SECOND] * 3 + [FIRST] * 4 + ["few"]
        assert audit(folder).clean, writes
        shutil.rmtree(folder)
        writes += 1
    assert writes > 15
