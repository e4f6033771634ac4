"""Rows that use images of other rows, after losses: what is there is found, and only what is gone is made again."""

import hashlib
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.audit.repair import repair
from imagen_batch.inputs.reconcile_with_folder import prepare_plan
from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue
from imagen_batch.runs.run import open_run
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.storage import LEDGER, open_storage
from tests.support.reviewed_runs import counted, go, parts_of, review
from tests.support.runs import TODAY, FinishedRun, write_csv
from tests.support.storages import KINDS, new_place

FOX = {"id": "fox", "prompt": "a fox", "references": "", "samples": ""}
DEN = {"id": "den", "prompt": "the den", "references": "@fox", "samples": ""}
SNOW = {"id": "snow", "prompt": "the snow", "references": "@den;@fox", "samples": ""}


@pytest.fixture
def source(tmp_path):
    """A chain of three rows."""
    return write_csv(tmp_path / "p.csv", [SNOW, DEN, FOX])


@pytest.fixture
def other_images(monkeypatch):
    """From this call on the service draws another image for the same request."""
    changed = SimpleNamespace(sha256=lambda data=b"": hashlib.sha256(data + b"other"))
    return lambda: monkeypatch.setattr("imagen_batch.simulator.pictures.drawing.hashlib", changed)


def rows_of(ran):
    """The manifest's rows by id."""
    return {row["id"]: row for row in ran.rows}


def remake_lost(folder, sim):
    """Repair a folder and make again what is lost, as `audit --repair` does."""
    lost = repair(folder).samples_to_remake
    settings = load_settings_to_continue(folder, {"base_url": sim.url, "wait_initial": 0.0})
    plan = replace(prepare_plan(settings, today=TODAY), samples_to_remake=lost)
    with open_run(plan, env={}) as run:
        for stage in run.stages():
            for shard in stage:
                run.generate_shard(shard)
        return FinishedRun(run.finish(), folder)


def test_a_lost_ledger_is_found_again_row_by_row(source, sim):
    """The image of each row gives the next row its key."""
    ran = go(source, sim)
    before = {row["id"]: row["sha256"] for row in ran.rows}
    shutil.rmtree(ran.folder / LEDGER)
    ran, sent = parts_of(sim, lambda: go(source, sim))
    assert sent == []
    assert {row["id"]: row["sha256"] for row in ran.rows} == before
    assert audit(ran.folder).clean


def test_a_repair_records_what_is_there(source, sim):
    """Without a ledger the repair finds all three."""
    ran = go(source, sim)
    shutil.rmtree(ran.folder / LEDGER)
    assert repair(ran.folder).samples_to_remake == ()
    assert run_status(ran.folder).counts["ok"] == 3


def test_a_repair_makes_a_lost_scene_once(source, sim):
    """Under the key that it has in the ledger."""
    ran = go(source, sim)
    (ran.folder / rows_of(ran)["den"]["file"]).unlink()
    ran, sent = parts_of(sim, lambda: remake_lost(ran.folder, sim))
    assert [parts[-1] for parts in sent] == ["the den"]
    assert sent[0][0] == ran.image(rows_of(ran)["fox"])
    assert audit(ran.folder).clean
    assert parts_of(sim, lambda: go(source, sim))[1] == []


@pytest.mark.parametrize("how", ["repair", "retry"])
def test_scenes_stay_when_a_lost_sheet_is_made_again(source, sim, how, other_images):
    """Only the sheet is paid for, and nothing after it; a row that comes later uses the new one."""
    ran = go(source, sim)
    before = rows_of(ran)
    (ran.folder / before["fox"]["file"]).unlink()
    other_images()
    remake = {"repair": lambda: remake_lost(ran.folder, sim), "retry": lambda: go(source, sim, retry=("missing",))}
    ran, sent = parts_of(sim, remake[how])
    assert sent == [["a fox"]]
    after = rows_of(ran)
    assert after["fox"]["sha256"] != before["fox"]["sha256"]
    assert [after[name]["sha256"] for name in ("den", "snow")] == [before[name]["sha256"] for name in ("den", "snow")]
    assert audit(ran.folder).clean
    assert parts_of(sim, lambda: go(source, sim))[1] == []
    write_csv(source, [SNOW, DEN, FOX, {**DEN, "id": "new", "prompt": "new"}])
    ran, sent = parts_of(sim, lambda: go(source, sim))
    assert sent == [[ran.image(rows_of(ran)["fox"]), "new"]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_holds_images_of_other_rows_and_their_versions(tmp_path, source, sim, kind, request):
    """The bytes come from the store, also for a redo."""
    place = new_place(kind, tmp_path, request)
    go(source, sim, out=place)
    review(place, "redo", "den", prompt="a new den")
    assert counted(source, sim, out=place, redo=True).samples == 1
    _, sent = parts_of(sim, lambda: go(source, sim, out=place, redo=True))
    storage = open_storage(place)
    files = {name: storage.read(name) for name, _ in storage.sizes("images")}
    assert [parts[-1] for parts in sent] == ["a new den"]
    assert sent[0][0] in files.values()
    review(place, "approve", "den")
    _, sent = parts_of(sim, lambda: go(source, sim, out=place))
    assert [parts[-1] for parts in sent] == ["the snow"]
    assert parts_of(sim, lambda: go(source, sim, out=place))[1] == []
    assert run_status(place).counts["ok"] == 3
    assert audit(place).clean
