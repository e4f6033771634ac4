"""Whole runs with reference images: the bytes on the wire, images that are made again, and requests left unsent."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import orjson
import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.errors import InputInvalid
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue, reload_plan
from imagen_batch.runs.run import open_run
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.sending.read_references import ReferenceLoader
from imagen_batch.simulator import Simulator
from imagen_batch.simulator.pictures.mark_image import read_stamp
from tests.support.reference_files import image_bytes, parts_sent, prompts_sent, write_image
from tests.support.runs import TODAY, FinishedRun, run, write_csv
from tests.support.workers import run_in_threads


def book(folder: Path, cells: dict[str, str]) -> Path:
    """Write a prompt file with these prompts and references."""
    return write_csv(folder / "p.csv", [{"prompt": text, "references": cell} for text, cell in cells.items()])


def resume(folder: Path, sim: Simulator, **changes) -> FinishedRun:
    """Continue a run with its stored input."""
    settings = load_settings_to_continue(folder, {"base_url": sim.url, **changes})
    plan = prepare_plan(settings, today=datetime.now(UTC).date())
    with open_run(plan, env={}) as opened:
        for stage in opened.stages():
            for shard in stage:
                opened.generate_shard(shard)
        return FinishedRun(opened.finish(), folder)


@pytest.mark.parametrize("runner", [run, run_in_threads], ids=["threads", "workers"])
def test_the_bytes_on_the_wire_are_those_of_the_files(tmp_path, sim, runner):
    """They are in the order of the cell, the run's first and the prompt last; workers read the files themselves."""
    style = write_image(tmp_path / "style.webp", "green", "WEBP")
    fox, hat = write_image(tmp_path / "fox.png"), write_image(tmp_path / "sheets/hat.jpg", "blue", "JPEG")
    source = book(tmp_path, {"a fox": "fox.png; sheets/hat.jpg", "an owl": ""})
    ran = runner(source, sim, references=[str(tmp_path / "style.webp")])
    sent = {parts[-1]: parts[:-1] for parts in parts_sent(sim)}
    assert sent == {"a fox": [style, fox, hat], "an owl": [style]}
    first = ran.rows[0]
    assert first["references"] == "style.webp;fox.png;sheets/hat.jpg"
    assert first["references_sha256"] == ";".join(hashlib.sha256(data).hexdigest() for data in (style, fox, hat))
    assert read_stamp(ran.image(first))["references"] == first["references_sha256"].split(";")


def test_changing_one_sheet_makes_exactly_its_scenes_again(tmp_path, sim):
    """Other rows of the file are not sent."""
    write_image(tmp_path / "fox.png")
    write_image(tmp_path / "hat.png", "blue")
    source = book(tmp_path, {"a": "fox.png", "b": "hat.png", "c": "fox.png;hat.png", "d": ""})
    run(source, sim)
    write_image(tmp_path / "hat.png", "red")
    before = len(sim.requests)
    ran = run(source, sim)
    assert sorted(prompts_sent(sim)[before:]) == ["b", "c"]
    assert ran.statuses == ["ok"] * 4
    assert audit(ran.folder).findings == ()


def test_the_cost_is_that_of_the_reply_with_its_images(tmp_path, sim):
    """1,120 tokens each, and never above what was reserved."""
    write_image(tmp_path / "fox.png")
    ran = run(book(tmp_path, {"a": "fox.png", "b": ""}), sim)
    extra = ran.rows[0]["cost_usd"] - ran.rows[1]["cost_usd"]
    assert extra == pytest.approx(1120 * 1.5e-6)


def test_a_missing_file_costs_nothing(tmp_path, sim):
    """Nothing is sent, and nothing is written."""
    write_image(tmp_path / "fox.png")
    with pytest.raises(InputInvalid):
        run(book(tmp_path, {"a": "fox.png", "b": "gone.png"}), sim)
    assert not sim.requests
    assert not (tmp_path / "out").exists()


def test_a_file_that_changes_after_the_plan_is_not_sent(tmp_path, sim):
    """Its rows say so and stay pending; the others are made. The next run uses the file as it is."""
    write_image(tmp_path / "fox.png")
    source = book(tmp_path, {"a": "fox.png", "b": ""})
    load = ReferenceLoader.load

    def load_changed(self, references, storage):
        if references:
            write_image(tmp_path / "fox.png", "red")
        return load(self, references, storage)

    with patch.object(ReferenceLoader, "load", load_changed):
        ran = run(source, sim)
    assert ran.statuses == ["not_attempted", "ok"]
    assert ran.summary.exit_code == 3
    assert "has changed since the run was planned" in ran.rows[0]["error"]
    assert prompts_sent(sim) == ["b"]
    assert audit(ran.folder).findings == ()
    assert run(source, sim).statuses == ["ok", "ok"]
    assert parts_sent(sim)[-1] == [image_bytes("red"), "a"]


def test_a_file_that_changes_hides_no_possible_charge(tmp_path, sim):
    """An attempt whose reply was lost stays unknown, and its cost possible, when the next one can't be made."""
    write_image(tmp_path / "fox.png")
    source = book(tmp_path, {"a [[sim:reset]]": "fox.png"})
    first = run(source, sim, max_attempts=1)
    assert first.statuses == ["unknown"]
    load = ReferenceLoader.load

    def load_changed(self, references, storage):
        write_image(tmp_path / "fox.png", "red")
        return load(self, references, storage)

    with patch.object(ReferenceLoader, "load", load_changed):
        second = run(source, sim)
    assert second.statuses == ["unknown"]
    assert second.summary.cost_high_usd == first.summary.cost_high_usd
    assert len(sim.requests) == 1


def test_a_run_continues_from_any_folder_with_the_files_of_its_prompt_file(tmp_path, sim, monkeypatch):
    """Relative paths keep their meaning; a stored run is read as it was, even if files are gone."""
    fox = write_image(tmp_path / "fox.png")
    source = book(tmp_path, {"a": "fox.png", "b [[sim:internal_500]]": "fox.png"})
    ran = run(source, sim, max_attempts=1)
    assert ran.statuses == ["ok", "failed"]
    other_folder = tmp_path / "elsewhere"
    other_folder.mkdir()
    monkeypatch.chdir(other_folder)
    assert resume(ran.folder, sim, retry=("failed",)).statuses == ["ok", "failed"]
    assert parts_sent(sim)[-1][0] == fox
    write_image(tmp_path / "fox.png", "red")
    assert run_status(ran.folder).counts["ok"] == 1
    (tmp_path / "fox.png").unlink()
    assert run_status(ran.folder).counts["ok"] == 1
    assert audit(ran.folder).findings == ()
    with pytest.raises(InputInvalid):
        resume(ran.folder, sim)


def test_a_failures_file_finds_the_images_of_the_run(tmp_path, sim):
    """It is in another folder than the prompt file."""
    fox = write_image(tmp_path / "fox.png")
    ran = run(book(tmp_path, {"a": "fox.png", "b [[sim:filtered*1]]": "fox.png"}), sim)
    assert ran.statuses == ["ok", "filtered"]
    settings = load_settings_to_continue(ran.folder, {"base_url": sim.url})
    patched = settings.model_copy(
        update={"prompts": str(ran.folder / "failures.csv"), "format": None, "encoding": None, "delimiter": None}
    )
    plan = prepare_plan(patched, today=TODAY)
    with open_run(plan, env={}) as opened:
        for shard in opened.shards():
            opened.generate_shard(shard)
        assert FinishedRun(opened.finish(), ran.folder).statuses == ["ok", "ok"]
    assert parts_sent(sim)[-1][0] == fox


def test_rows_of_another_folder_are_added_with_their_own_images(tmp_path, sim):
    """Their paths are relative to their own file."""
    write_image(tmp_path / "fox.png")
    other = write_image(tmp_path / "second/fox.png", "red")
    ran = run(book(tmp_path, {"a": "fox.png"}), sim)
    source = book(tmp_path / "second", {"z": "fox.png"})
    settings = load_settings_to_continue(
        ran.folder, {"base_url": sim.url, "prompts": str(source), "other_input": "add"}
    )
    with open_run(prepare_plan(settings, today=TODAY), env={}) as opened:
        for shard in opened.shards():
            opened.generate_shard(shard)
        added = FinishedRun(opened.finish(), ran.folder)
    assert added.statuses == ["ok", "ok"]
    assert parts_sent(sim)[-1] == [other, "z"]
    assert added.rows[1]["references"] == str(tmp_path / "second/fox.png")
    assert reload_plan(ran.folder).references.folder == str(tmp_path)


def test_a_run_of_an_earlier_version_continues_without_references(tmp_path, sim):
    """Its column of that name was the user's own: nothing is made again until the file is run again."""
    write_image(tmp_path / "fox.png")
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a", "notes": "fox.png"}, {"prompt": "b", "notes": ""}])
    ran = run(source, sim)
    state = ran.folder / ".imagen-batch"
    stored = state / "input.csv"
    stored.write_text(stored.read_text().replace("notes", "references"))
    record = orjson.loads((state / "run.json").read_bytes())
    del record["origin"]["folder"]
    (state / "run.json").write_bytes(orjson.dumps(record))
    assert resume(ran.folder, sim).statuses == ["ok", "ok"]
    assert len(sim.requests) == 2
    assert run_status(ran.folder).counts["ok"] == 2


_CHILD = """
import os, signal, sys
from pathlib import Path
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.simulator import Simulator
from tests.support.runs import run
class Sim: url = sys.argv[2]
left, record = int(sys.argv[3]), LedgerWriter.record_result
def record_result(self, *args, **named):
    global left
    record(self, *args, **named)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
LedgerWriter.record_result = record_result
run(Path(sys.argv[1]), Sim, concurrency=1)
"""


@pytest.mark.parametrize("after", [1, 3, 4])
def test_a_kill_in_any_stage_pays_nothing_twice(tmp_path, sim, after):
    """Rows 1 and 2 are sheets, 3 and 4 scenes: a kill in the first stage, between the stages, in the second."""
    rows = [
        {"id": "fox", "prompt": "fox", "references": ""},
        {"id": "hat", "prompt": "hat", "references": ""},
        {"id": "", "prompt": "scene one", "references": "@fox"},
        {"id": "", "prompt": "scene two", "references": "@fox;@hat"},
    ]
    source = write_csv(tmp_path / "p.csv", rows)
    command = [sys.executable, "-c", _CHILD, str(source), sim.url, str(after)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run(command, check=False, timeout=60, env=env)
    assert killed.returncode == -signal.SIGKILL
    assert run_status(tmp_path / "out").counts["ok"] == after
    assert run(source, sim).statuses == ["ok"] * 4
    assert sorted(prompts_sent(sim)) == ["fox", "hat", "scene one", "scene two"]
    run(source, sim)
    assert len(sim.requests) == 4


def test_the_cache_of_images_stays_small(tmp_path):
    """The last ones stay; the oldest go first, and one that is larger than the cache is never kept."""
    loader = ReferenceLoader(cache_bytes=250)
    sizes = dict.fromkeys("abc", 100) | {"huge": 1000}
    for name, size in sizes.items():
        loader._cache(name, bytes(size))
    assert [name for name in sizes if loader._find_cached(name)] == ["b", "c"]
    threads = [threading.Thread(target=loader._cache, args=(str(n), bytes(100))) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loader._free_bytes >= 0
