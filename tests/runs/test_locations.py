"""A run behaves the same in a folder and in an object store."""

import hashlib

import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.inputs.stored_input_and_settings import load_settings_snapshot
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.runs.state_from_folder import run_status
from imagen_batch.settings import make_settings
from imagen_batch.simulator import read_stamp
from imagen_batch.storage import open_storage
from tests.support.damage import set_damaged_aside
from tests.support.runs import TODAY, manifest_rows, prompts, run, write_csv


def test_two_runs_a_status_and_an_audit(place, tmp_path, sim):
    """Images, manifest and summary exist; a second run sends nothing; the audit has no findings."""
    source, storage = prompts(tmp_path, "one", "two", "three"), open_storage(place)
    summary = run(source, sim, out=place).summary
    assert (summary.exit_code, summary.facts.out) == (0, place)
    before = manifest_rows(place)
    for row in before:
        data = storage.read(row["file"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert read_stamp(data)["prompt"] == row["prompt"]
    assert {"summary.json", "summary.md", "manifest.csv", "README.md"} <= {name for name, _ in storage.sizes("")}
    run(source, sim, out=place)
    assert len(sim.requests) == 3
    assert manifest_rows(place) == before
    assert run_status(place).counts["ok"] == 3
    assert audit(place).findings == ()
    assert not storage.is_locked()


def test_a_missing_image_is_reported_and_made_again_on_request(place, tmp_path, sim):
    """The manifest says `file_missing`, the audit `missing`; the repair pays for one."""
    source, storage = prompts(tmp_path, "one", "two", "three"), open_storage(place)
    run(source, sim, out=place)
    storage.remove(manifest_rows(place)[1]["file"])
    run(source, sim, out=place)
    assert [row["error_kind"] for row in manifest_rows(place)] == [None, "file_missing", None]
    report = audit(place)
    assert [(finding.kind, finding.row) for finding in report.findings] == [("missing", 2)]
    set_damaged_aside(report, place)
    run(source, sim, out=place, retry="missing")
    assert len(sim.requests) == 4
    assert audit(place).findings == ()


def test_user_chosen_names_are_never_overwritten(place, tmp_path, sim):
    """Two rows want the same name: both images are kept."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": text, "filename": "hero"} for text in ("a mole", "a rat")])
    run(source, sim, out=place, concurrency=1)
    files = [row["file"] for row in manifest_rows(place)]
    assert len(set(files)) == 2
    assert "images/hero.jpg" in files
    assert {read_stamp(open_storage(place).read(file))["prompt"] for file in files} == {"a mole", "a rat"}


def test_one_run_at_a_time(place, tmp_path, sim):
    """The second run fails with a message and sends nothing."""
    with open_storage(place).hold_lock(), pytest.raises(FolderBusy):
        run(prompts(tmp_path, "one"), sim, out=place)
    assert not sim.requests


def test_tables_of_another_program_are_not_overwritten(place, tmp_path, sim):
    """A folder with a manifest but without a run is refused."""
    open_storage(place).put("manifest.csv", b"theirs")
    with pytest.raises(SettingsInvalid, match="not from an imagen-batch run"):
        run(prompts(tmp_path, "one"), sim, out=place)


def test_a_run_continues_from_its_location_alone(place, tmp_path, sim):
    """The prompt file is not needed; a file of another format may replace it."""
    run(prompts(tmp_path, "one"), sim, out=place)
    (tmp_path / "p.txt").write_text("one\ntwo\n")
    run(tmp_path / "p.txt", sim, out=place)
    settings = load_settings_snapshot(place)
    assert (settings.folder, settings.format) == (place, "txt")
    assert make_plan(settings.model_copy(update={"base_url": sim.url}), today=TODAY).rows == 2
    with pytest.raises(SettingsInvalid, match="No imagen-batch run found"):
        load_settings_snapshot(place + "/elsewhere")


def test_a_missing_store_is_reported_in_a_sentence(s3, tmp_path, sim):
    """The message is not a library's traceback."""
    with pytest.raises(SettingsInvalid, match=r"--out s3://no-such-bucket/run: can't be written"):
        run(prompts(tmp_path, "one"), sim, out="s3://no-such-bucket/run")
    assert make_settings({"prompts": "a.csv", "out": "s3://no-such-bucket/run"}).folder == "s3://no-such-bucket/run"
