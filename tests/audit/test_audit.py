"""Every damage to a finished run is found once, and there are no false findings."""

import errno
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.audit.audit import audit
from imagen_batch.audit.findings import KINDS
from imagen_batch.audit.report import audit_json, audit_text
from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.inputs.stored_input_and_settings import load_settings_snapshot
from imagen_batch.simulator import Simulator
from imagen_batch.storage import Folder, open_storage
from tests.support.damage import (
    IMAGE_DAMAGE,
    NEEDS_PAYMENT,
    STATE,
    TABLE_DAMAGE,
    DamagedRun,
    cut_off,
    gone,
    notes,
    renamed,
    set_damaged_aside,
)
from tests.support.runs import IMAGEN, prompts, run, write_csv

TEXTS = ("a mole", "a rat", "a toad", "a badger", "an otter", "a weasel")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sim):
    """Return the home of a run with six images; tests copy it and never change it."""
    home = tmp_path_factory.mktemp("finished")
    run(prompts(home, *TEXTS), sim, model=IMAGEN)
    return home


@pytest.fixture
def run_copy(tmp_path, finished):
    """Return a copy that a test may damage."""
    return copy_of(finished, tmp_path / "copy")


def copy_of(finished, home):
    """Copy the run to another place."""
    shutil.copytree(finished, home)
    return DamagedRun(home / "out")


def findings_of(folder):
    """Return kind, row and file name of each finding."""
    return [(one.kind, one.row, one.path and Path(one.path).name) for one in audit(folder).findings]


def with_lost_records(expected):
    """Add the finding that the manifest has images of which the ledger lost the records."""
    lost = any(kind == "paid_undelivered" for kind, _, _ in expected)
    return [*expected, *([("stale", None, "manifest.parquet")] if lost else [])]


def repair_all(run_copy, sim):
    """Repair as `--repair` does; return how many images were requested."""
    before = len(sim.requests)
    set_damaged_aside(audit(run_copy.folder), run_copy.folder)
    run(run_copy.folder.parent / "prompts.csv", sim, model=IMAGEN, retry="missing")
    return len(sim.requests) - before


def contents(*folders):
    """Return the bytes of all files in the folders."""
    return {path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def modification_times(folder):
    """Return all files with their modification times."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_fresh_run_is_clean(run_copy):
    """There are no false findings."""
    result = audit(run_copy.folder)
    assert (result.findings, result.checked) == ((), 6)
    assert audit_text(result).endswith("clean; 6 images in place and unchanged")


def test_a_run_without_all_its_images_is_clean(tmp_path, sim):
    """Refused and failed samples are in order if all files agree about them."""
    marked = ("one [[sim:finish_IMAGE_SAFETY]]", "two [[sim:bad_request]]", "three", 'a "b",\nc')
    folder = run(prompts(tmp_path, *marked), sim).folder
    assert findings_of(folder) == []


def test_a_run_that_its_budget_ended_is_clean(tmp_path, sim):
    """The manifest says `skipped_budget`, which the ledger does not record."""
    ran = run(prompts(tmp_path, *TEXTS), sim, model=IMAGEN, max_images=2)
    assert "skipped_budget" in ran.statuses
    assert findings_of(ran.folder) == []


def test_images_of_an_earlier_input_are_in_order(run_copy, sim):
    """They are recorded, though the input no longer contains them."""
    mole = run_copy.file(1)
    source = prompts(run_copy.folder.parent, "a newt", *TEXTS[3:])
    run(source, sim, model=IMAGEN)
    assert (findings_of(run_copy.folder), audit(run_copy.folder).checked) == ([], 4)
    mole.unlink()
    assert findings_of(run_copy.folder) == []


def test_an_audit_changes_nothing(run_copy):
    """Even the times of files stay."""
    cut_off(run_copy, 1)
    before = modification_times(run_copy.folder)
    audit(run_copy.folder)
    assert modification_times(run_copy.folder) == before


@pytest.mark.parametrize("damage", IMAGE_DAMAGE, ids=lambda damage: damage.__name__)
def test_each_damage_to_an_image_is_found_once_and_repaired(run_copy, damage, sim):
    """A request is sent only if the bytes no longer exist, and no bytes are lost."""
    expected = damage(run_copy, 2)
    assert findings_of(run_copy.folder) == with_lost_records([expected])
    before = contents(run_copy.folder / "images", run_copy.folder / STATE / "incoming")
    assert repair_all(run_copy, sim) == (damage in NEEDS_PAYMENT)
    assert {one.kind for one in audit(run_copy.folder).findings} <= {"foreign", "duplicated", "edited"}
    assert before <= contents(run_copy.folder / "images", run_copy.folder / STATE / "set-aside")


@pytest.mark.parametrize("damage", TABLE_DAMAGE.values(), ids=TABLE_DAMAGE)
def test_each_damage_to_a_table_is_found_once_and_repaired(run_copy, damage, sim):
    """All tables are written again, and no request is sent."""
    expected = damage(run_copy)
    assert findings_of(run_copy.folder) == [expected]
    assert repair_all(run_copy, sim) == 0
    assert findings_of(run_copy.folder) == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([None, *IMAGE_DAMAGE]), min_size=5, max_size=5))
def test_several_kinds_of_damage_are_found_independently(finished, sim, damages):
    """Each damage to any row is found once, and the repair pays for what is lost."""
    with tempfile.TemporaryDirectory() as home:
        run_copy = copy_of(finished, Path(home) / "copy")
        expected = [damage(run_copy, row) for row, damage in enumerate(damages, start=1) if damage]
        assert sorted(map(str, findings_of(run_copy.folder))) == sorted(map(str, with_lost_records(expected)))
        assert repair_all(run_copy, sim) == sum(damage in NEEDS_PAYMENT for damage in damages)
        assert {one.kind for one in audit(run_copy.folder).findings} <= {"foreign", "duplicated", "edited"}


def test_images_that_changed_places_are_restored(run_copy, sim):
    """Both are altered, and both still exist."""
    one, other = run_copy.file(1), run_copy.file(2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert [kind for kind, _, _ in findings_of(run_copy.folder)] == ["altered", "altered"]
    assert repair_all(run_copy, sim) == 0
    assert (one.read_bytes(), other.read_bytes()) == (first, second)
    assert findings_of(run_copy.folder) == []


def test_an_image_moved_over_another_is_restored_and_the_other_regenerated(run_copy, sim):
    """One is missing in its place, the other one in the folder."""
    run_copy.file(1).replace(run_copy.file(2))
    assert [finding[:2] for finding in findings_of(run_copy.folder)] == [("missing", 1), ("altered", 2)]
    assert repair_all(run_copy, sim) == 1
    assert findings_of(run_copy.folder) == []


def test_two_samples_with_one_file_are_reported_once(tmp_path, sim):
    """One image is gone, another one takes its name, then the first prompt returns."""
    mole, rat = ({"prompt": text, "filename": "hero"} for text in ("a mole", "a rat"))
    folder = run(write_csv(tmp_path / "p.csv", [mole]), sim).folder
    next((folder / "images").iterdir()).unlink()
    run(write_csv(tmp_path / "p.csv", [rat]), sim)
    run(write_csv(tmp_path / "p.csv", [rat, mole]), sim)
    assert findings_of(folder) == [("duplicated", 2, "hero.jpg")]


def test_a_lost_reply_is_reported_with_its_worst_price(tmp_path):
    """Each row has two attempts; the sum over all findings is the upper bound of the summary."""
    fault = {"match": "*", "fault": "reset_midway", "times": 2}
    with Simulator(faults=[fault]) as sim:
        ran = run(prompts(tmp_path, "one", "two"), sim, model=IMAGEN, max_attempts=2)
    result = audit(ran.folder)
    assert [(one.kind, one.row) for one in result.findings] == [("paid_undelivered", 1), ("paid_undelivered", 2)]
    total = sum(one.usd for one in result.findings)
    assert total == pytest.approx(ran.summary.cost_high_usd - ran.summary.cost_low_usd)
    assert total > 0


def test_a_run_killed_before_its_tables_is_one_finding(run_copy, sim):
    """It is one, however many rows are not in the old tables."""
    (run_copy.folder / STATE / "ledger" / "9999999999.000-killed.jsonl").touch()
    prompts(run_copy.folder / STATE, *TEXTS, "a newt", "a frog").rename(run_copy.folder / STATE / "input.csv")
    assert findings_of(run_copy.folder) == [("stale", None, "manifest.parquet")]


def test_a_lost_image_in_the_manifest_is_one_finding(run_copy, sim):
    """A run after the loss has recorded it there."""
    expected = gone(run_copy, 2)
    run(run_copy.folder.parent / "prompts.csv", sim, model=IMAGEN)
    assert findings_of(run_copy.folder) == [expected]


def test_an_image_that_is_quarantined_again_gets_another_name(run_copy, sim):
    """It is truncated four times, and each part is kept."""
    for _ in range(4):
        cut_off(run_copy, 1)
        repair_all(run_copy, sim)
    quarantine = run_copy.folder / STATE / "set-aside"
    assert len(list(quarantine.iterdir())) == 4


def test_files_of_the_desktop_are_ignored(run_copy):
    """They come back whenever somebody opens the folder."""
    (run_copy.folder / "images" / ".DS_Store").touch()
    assert findings_of(run_copy.folder) == []


def test_a_torn_last_line_of_the_ledger_is_ignored(run_copy):
    """It never counted."""
    ledger = next((run_copy.folder / STATE / "ledger").iterdir())
    ledger.write_bytes(ledger.read_bytes() + b'{"t":"done","key":"ab')
    assert findings_of(run_copy.folder) == []


def test_a_damaged_line_of_the_ledger_is_named(run_copy):
    """Without the ledger there is nothing to compare with."""
    ledger = next((run_copy.folder / STATE / "ledger").iterdir())
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([lines[0], b"\0" * 40 + b"\n", *lines[1:]]))
    (finding,) = audit(run_copy.folder).findings
    assert (finding.kind, Path(finding.path).name) == ("damaged", ledger.name)
    assert finding.detail.startswith(f"line 2, byte {len(lines[0])}: ")


def test_an_unreadable_file_is_not_called_lost(run_copy):
    """It would be paid for again because a network share is offline."""
    with (
        patch.object(Folder, "read", side_effect=OSError(errno.EIO, "Input/output error")),
        pytest.raises(SettingsInvalid, match="Input/output error"),
    ):
        audit(run_copy.folder)


def test_a_folder_without_a_run_is_an_error(tmp_path):
    """It is not called clean."""
    with pytest.raises(SettingsInvalid, match="No imagen-batch run found"):
        audit(tmp_path)


def test_a_run_in_progress_is_not_disturbed(run_copy):
    """Neither an audit, which would see an incomplete state, nor a repair starts."""
    result = audit(run_copy.folder)
    with open_storage(run_copy.folder).hold_lock():
        with pytest.raises(FolderBusy):
            audit(run_copy.folder)
        with pytest.raises(FolderBusy):
            set_damaged_aside(result, run_copy.folder)


def test_the_json_contains_all_findings(run_copy):
    """Programs read it."""
    cut_off(run_copy, 3)
    report = orjson.loads(audit_json(audit(run_copy.folder)))
    assert (report["schema_version"], report["state"], report["checked"]) == (1, "damaged", 6)
    assert report["counts"] == {**dict.fromkeys(KINDS, 0), "truncated": 1}
    assert [(one["kind"], one["row"], one["sample"]) for one in report["findings"]] == [("truncated", 3, 1)]


def test_the_text_describes_what_a_repair_would_do(run_copy):
    """It distinguishes what is paid for again from what is only restored."""
    for damage, row in ((cut_off, 1), (gone, 2), (renamed, 3), (notes, 4)):
        damage(run_copy, row)
    text = audit_text(audit(run_copy.folder))
    assert "2 images to make and pay for again" in text
    assert "1 image to restore" in text
    assert "foreign and duplicated files are yours" in text


def test_many_findings_of_a_kind_are_not_all_listed(run_copy):
    """People read the text."""
    for number in range(50):
        (run_copy.folder / "images" / f"{number}.txt").touch()
    text = audit_text(audit(run_copy.folder))
    assert "and 30 more" in text
    assert len(text.splitlines()) < 30


def test_the_settings_of_a_run_are_those_of_its_start(run_copy):
    """They name its own copy of the input, wherever the run was started."""
    settings = load_settings_snapshot(run_copy.folder)
    assert (settings.model, settings.folder) == (IMAGEN, str(run_copy.folder))
    assert Path(settings.prompts) == run_copy.folder / STATE / "input.csv"
