"""Images in the folder are recorded and not paid for again if any part of the ledger is lost."""

import hashlib
import shutil
from dataclasses import replace

import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import imagen_batch.planning.keys
import imagen_batch.planning.requests_and_shards
import imagen_batch.runs.recovery.guess_sample_of_file
import imagen_batch.runs.recovery.record_unlisted
from imagen_batch.ledger.history import read_history
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.requests_and_shards import requests_for
from imagen_batch.runs.recovery.guess_sample_of_file import Clue, find_owners, possible_keys
from imagen_batch.runs.recovery.record_unlisted import recover_unrecorded
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator, read_stamp
from imagen_batch.storage import LEDGER, STATE, open_storage
from tests.support.runs import TODAY, manifest_rows, prompts, run, write_csv

TEXTS = tuple(f"animal number {number}" for number in range(1, 11))


def ledger_objects(storage):
    """Return the names of all files or objects of the ledger."""
    return [name for name, _ in storage.sizes(LEDGER)]


def edit_ledger(place, keep):
    """Keep only the lines of the ledger for which `keep` is true."""
    storage = open_storage(place)
    for name in ledger_objects(storage):
        lines = storage.read(name).splitlines(keepends=True)
        storage.put(name, b"".join(line for line in lines if keep(orjson.loads(line))))


def truncate(place):
    """Keep 60 % of the ledger's bytes."""
    storage = open_storage(place)
    for name in ledger_objects(storage):
        data = storage.read(name)
        storage.put(name, data[: len(data) * 6 // 10])


def delete(place):
    """Delete the ledger."""
    storage = open_storage(place)
    for name in ledger_objects(storage):
        storage.remove(name)


def without_a_result(place):
    """Remove the results of three rows."""
    keys = {row["key"] for row in manifest_rows(place)[2:5]}
    edit_ledger(place, lambda line: line["t"] != "done" or line["key"] not in keys)


def without_a_row(place):
    """Remove every record of three rows."""
    keys = {row["key"] for row in manifest_rows(place)[2:5]}
    edit_ledger(place, lambda line: line["key"] not in keys)


def without_attempts(place):
    """Remove the records of started attempts."""
    edit_ledger(place, lambda line: line["t"] != "sent")


LOSSES = (truncate, delete, without_a_result, without_a_row, without_attempts)


@pytest.mark.parametrize("loss", LOSSES)
def test_images_that_the_ledger_has_lost_are_not_made_again(place, tmp_path, sim, loss):
    """They are recorded with their prompts, and the second run after that has nothing to recover."""
    source = prompts(tmp_path, *TEXTS)
    run(source, sim, out=place)
    before = {row["prompt"]: row["sha256"] for row in manifest_rows(place)}
    loss(place)
    ran = run(source, sim, out=place)
    assert (len(sim.requests), ran.summary.exit_code) == (10, 0)
    assert {row["prompt"]: row["sha256"] for row in manifest_rows(place)} == before
    assert all(row["status"] == "ok" for row in manifest_rows(place))
    run(source, sim, out=place)
    assert len(sim.requests) == 10


def test_the_recovered_images_and_their_cost_are_reported(tmp_path, sim):
    """The message is one sentence and calls the cost an estimate."""
    source = prompts(tmp_path, *TEXTS)
    place = tmp_path / "out"
    run(source, sim)
    shutil.rmtree(place / LEDGER)
    messages = []
    settings = {"prompts": str(source), "out": str(place), "provider": "simulator", "base_url": sim.url}
    with open_run(make_plan(make_settings(settings), today=TODAY), env={}, notify=messages.append) as opened:
        summary = opened.finish()
    assert messages == ["recovered 10 images that were missing from the ledger; their cost is an estimate"]
    assert (summary.estimated, summary.cost_usd > 0) == (True, True)
    assert {row["cost_is"] for row in manifest_rows(place)} == {"estimate"}


def test_rows_that_have_moved_since_get_their_own_images(tmp_path, sim):
    """A file's name has the number of its former row; the key decides."""
    run(prompts(tmp_path, *TEXTS), sim)
    shutil.rmtree(tmp_path / "out" / LEDGER)
    run(prompts(tmp_path, "a new first row", *reversed(TEXTS)), sim)
    assert len(sim.requests) == 11
    for row in manifest_rows(tmp_path / "out"):
        assert read_stamp((tmp_path / "out" / row["file"]).read_bytes())["prompt"] == row["prompt"]


def test_several_images_of_one_request_are_recovered(tmp_path, sim):
    """Each of the four samples of a request is found by its number."""
    source = prompts(tmp_path, "a mole", "a rat")
    run(source, sim, samples=4, model="imagen-4.0-generate-001")
    shutil.rmtree(tmp_path / "out" / LEDGER)
    (tmp_path / "out" / manifest_rows(tmp_path / "out")[2]["file"]).unlink()
    requests_before = len(sim.requests)
    assert run(source, sim, samples=4, model="imagen-4.0-generate-001").statuses == ["ok"] * 8
    assert len(sim.requests) == requests_before + 1
    assert sim.bill.total == 9


def test_an_image_that_was_received_and_not_named_is_recovered_by_its_whole_key(tmp_path, sim):
    """It is in `incoming`, and the ledger does not even have the attempt."""
    source = write_csv(tmp_path / "prompts.csv", [{"prompt": text, "filename": text} for text in TEXTS])
    place = tmp_path / "out"
    run(source, sim)
    for row in manifest_rows(place)[:3]:
        (place / row["file"]).rename(place / STATE / "incoming" / f"{row['key']}_{row['sample']}")
    shutil.rmtree(place / LEDGER)
    (place / "manifest.parquet").rename(tmp_path / "kept.parquet")
    (place / "manifest.csv").unlink()
    ran = run(source, sim, max_images=3)
    assert (ran.statuses[:3], len(sim.requests)) == (["ok"] * 3, 10)
    assert [row["file"] for row in ran.rows[:3]] == [
        row["file"] for row in pq.read_table(tmp_path / "kept.parquet").to_pylist()[:3]
    ]
    assert list((place / STATE / "incoming").iterdir()) == []


def test_images_with_user_chosen_names_are_recovered_by_the_manifest(tmp_path, sim):
    """The name `hero.png` does not identify the row; the manifest of the last run does, with a matching checksum."""
    source = write_csv(tmp_path / "prompts.csv", [{"prompt": text, "filename": text} for text in TEXTS])
    place = tmp_path / "out"
    run(source, sim)
    shutil.rmtree(place / LEDGER)
    run(source, sim)
    assert len(sim.requests) == 10
    shutil.rmtree(place / LEDGER)
    (place / "manifest.parquet").unlink()
    run(source, sim)
    assert len(sim.requests) == 10


def test_an_image_without_any_proof_is_not_recorded_but_reported(tmp_path, sim):
    """It may be the user's own image, or one of a prompt that was edited since."""
    source = write_csv(tmp_path / "prompts.csv", [{"prompt": "a mole", "filename": "hero"}])
    place = tmp_path / "out"
    run(source, sim)
    shutil.rmtree(place / LEDGER)
    (place / "manifest.parquet").unlink()
    (place / "manifest.csv").unlink()
    messages = []
    settings = {"prompts": str(source), "out": str(place), "provider": "simulator", "base_url": sim.url}
    with open_run(make_plan(make_settings(settings), today=TODAY), env={}, notify=messages.append):
        pass
    assert len(messages) == 1
    assert "hero" in messages[0]
    assert "paid for again" in messages[0]


def test_a_file_with_other_bytes_than_in_the_manifest_is_not_recorded(tmp_path, sim):
    """The user replaced it by another image."""
    source = write_csv(tmp_path / "prompts.csv", [{"prompt": text, "filename": text} for text in TEXTS[:2]])
    place = tmp_path / "out"
    run(source, sim)
    first, second = (place / row["file"] for row in manifest_rows(place))
    shutil.copyfile(second, first)
    shutil.rmtree(place / LEDGER)
    run(source, sim)
    assert len(sim.requests) == 3
    for row in manifest_rows(place):
        assert read_stamp((place / row["file"]).read_bytes())["prompt"] == row["prompt"]


def test_a_recorded_image_is_never_taken_for_another(tmp_path, sim):
    """Its name may contain the digits of another row's key, but its record counts."""
    source, place = prompts(tmp_path, "a mole"), tmp_path / "out"
    run(source, sim)
    (mole,) = manifest_rows(place)
    source_of_both = prompts(tmp_path, "a rat", "a mole")
    settings = make_settings({"prompts": str(source_of_both), "out": str(place), "provider": "simulator"})
    (planned, _) = make_plan(settings, today=TODAY).planned_rows()
    (request,) = requests_for(planned, make_plan(settings, today=TODAY).index.row_key(1), [1])
    fake = request.names[0] + ".png"
    (place / mole["file"]).rename(place / fake)
    edit_ledger_file(place, mole["file"], fake)
    run(source_of_both, sim)
    assert len(sim.requests) == 2
    assert read_stamp((place / manifest_rows(place)[0]["file"]).read_bytes())["prompt"] == "a rat"


def edit_ledger_file(place, name, second):
    """Change the name of an image in the ledger."""
    for path in (place / LEDGER).iterdir():
        path.write_bytes(path.read_bytes().replace(name.encode(), second.encode()))


def test_torn_files_are_not_recovered(tmp_path, sim):
    """An incomplete image is made again."""
    source, place = prompts(tmp_path, *TEXTS), tmp_path / "out"
    run(source, sim)
    torn = place / manifest_rows(place)[4]["file"]
    torn.write_bytes(torn.read_bytes()[:100])
    shutil.rmtree(place / LEDGER)
    assert run(source, sim).statuses == ["ok"] * 10
    assert len(sim.requests) == 11


def test_links_and_pipes_are_not_recovered(tmp_path, sim):
    """A pipe would hang the run, and a link leads out of the folder."""
    import os  # noqa: PLC0415

    source, place = prompts(tmp_path, *TEXTS[:3]), tmp_path / "out"
    run(source, sim)
    first, pipe, _ = (place / row["file"] for row in manifest_rows(place))
    first.rename(tmp_path / "elsewhere.png")
    first.symlink_to(tmp_path / "elsewhere.png")
    pipe.unlink()
    os.mkfifo(pipe)
    shutil.rmtree(place / LEDGER)
    assert run(source, sim).statuses == ["ok"] * 3
    assert len(sim.requests) == 5


def test_a_paid_image_of_a_row_that_is_gone_is_kept(tmp_path, sim):
    """The image was received, the ledger was lost, and then its prompt was edited."""
    source, place = prompts(tmp_path, "a mole"), tmp_path / "out"
    run(source, sim)
    (mole,) = manifest_rows(place)
    data = (place / mole["file"]).read_bytes()
    (place / mole["file"]).rename(place / STATE / "incoming" / f"{mole['key']}_1")
    shutil.rmtree(place / LEDGER)
    run(prompts(tmp_path, "a rat"), sim)
    assert [path.read_bytes() for path in (place / STATE / "rescued").iterdir()] == [data]


def test_digits_that_two_rows_share_prove_nothing(tmp_path, monkeypatch):
    """With only four possible keys many rows share their first digits, and no owner is guessed."""

    def short(base, first, samples):
        digest = hashlib.sha256(f"{base}:{first}+{samples}".encode()).hexdigest()
        return f"{int(digest[0], 16) % 4:08x}" + digest[8:]

    for module in (
        imagen_batch.planning.keys,
        imagen_batch.runs.recovery.guess_sample_of_file,
        imagen_batch.planning.requests_and_shards,
    ):
        monkeypatch.setattr(module, "request_key", short)
    with Simulator() as sim:
        source, place = prompts(tmp_path, *TEXTS), tmp_path / "out"
        run(source, sim)
        shutil.rmtree(place / LEDGER)
        for name in ("manifest.parquet", "manifest.csv"):
            (place / name).unlink()
        run(prompts(tmp_path, *reversed(TEXTS)), sim)
        for row in manifest_rows(place):
            assert read_stamp((place / row["file"]).read_bytes())["prompt"] == row["prompt"]


def test_a_whole_ledger_costs_one_listing(tmp_path, sim, monkeypatch):
    """No file is read or looked up by name when the ledger is complete."""
    source, place = prompts(tmp_path, *TEXTS), tmp_path / "out"
    run(source, sim, max_images=5)
    plan = make_plan(make_settings({"prompts": str(source), "out": str(place), "provider": "simulator"}), today=TODAY)
    monkeypatch.setattr(imagen_batch.runs.recovery.record_unlisted, "validate", None)
    monkeypatch.setattr(imagen_batch.runs.recovery.guess_sample_of_file, "read_evidence", None)
    monkeypatch.setattr(imagen_batch.runs.recovery.record_unlisted, "find_owners", None)
    store = type("Store", (), {"storage": open_storage(place)})()
    assert recover_unrecorded(plan, store, read_history(place / LEDGER), None).images == 0


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4))
def test_every_request_that_may_have_included_a_sample_is_considered(number, before, per_request):
    """The keys include that of any request that the sample may have been part of."""
    base = "ab" * 32
    first = max(1, number - before + 1)
    count = min(per_request, number - first + 1)
    first = number - count + 1
    keys = list(possible_keys(base, number, per_request))
    assert imagen_batch.planning.keys.request_key(base, first, count) in keys
    assert len(keys) == len(set(keys))


def test_a_name_with_another_sample_number_does_not_match(tmp_path):
    """The digits match, but not the sample."""
    source = prompts(tmp_path, "a mole")
    plan = make_plan(make_settings({"prompts": str(source), "provider": "simulator"}), today=TODAY)
    (key,) = possible_keys(plan.index.row_key(1), 1, 1)
    clue = Clue("images/a.png", key[:8], row=1, number=1)
    assert len(find_owners(plan, [clue])["images/a.png"]) == 1
    assert not find_owners(plan, [replace(clue, number=2)])
