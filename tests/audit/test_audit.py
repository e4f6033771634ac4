"""Every damage to a finished run is found, once, and none is invented."""

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
from imagen_batch.audit.quarantine import quarantine_damaged
from imagen_batch.audit.report import audit_json, audit_text
from imagen_batch.errors import FolderBusy, SettingsInvalid
from imagen_batch.inputs.snapshot import load_settings_snapshot
from imagen_batch.simulator import Simulator
from imagen_batch.storage import Folder, open_storage
from tests.support.damage import OF_PICTURES, OF_TABLES, PAID_AGAIN, STATE, DamagedRun, cut_off, gone, notes, renamed
from tests.support.runs import IMAGEN, prompts, run, write_csv

TEXTS = ("a mole", "a rat", "a toad", "a badger", "an otter", "a weasel")


@pytest.fixture(scope="module")
def sim():
    """A service that behaves."""
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sim):
    """A run of six pictures, to be copied and never touched."""
    home = tmp_path_factory.mktemp("finished")
    run(prompts(home, *TEXTS), sim, model=IMAGEN)
    return home


@pytest.fixture
def it(tmp_path, finished):
    """A copy to be damaged."""
    return copy_of(finished, tmp_path / "copy")


def copy_of(finished, home):
    """The same run in another place."""
    shutil.copytree(finished, home)
    return DamagedRun(home / "out")


def found(folder):
    """Kind, row and file name of each finding."""
    return [(one.kind, one.row, one.path and Path(one.path).name) for one in audit(folder).findings]


def mend(it, sim):
    """What `--repair` does; returns how many pictures were asked for."""
    before = len(sim.requests)
    quarantine_damaged(audit(it.folder), it.folder)
    run(it.folder.parent / "prompts.csv", sim, model=IMAGEN, retry="missing")
    return len(sim.requests) - before


def contents(*folders):
    """The bytes of all files in the folders."""
    return {path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def everything(folder):
    """All files, with their time."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_fresh_run_is_clean(it):
    """Nothing is invented."""
    result = audit(it.folder)
    assert (result.findings, result.checked) == ((), 6)
    assert audit_text(result).endswith("clean; 6 images in place and unchanged")


def test_a_run_without_all_its_pictures_is_clean(tmp_path, sim):
    """Refused and failed samples are in order as long as everything says so."""
    marked = ("one [[sim:finish_IMAGE_SAFETY]]", "two [[sim:bad_request]]", "three", 'a "b",\nc')
    folder = run(prompts(tmp_path, *marked), sim).folder
    assert found(folder) == []


def test_a_run_that_its_budget_ended_is_clean(tmp_path, sim):
    """The manifest says `skipped_budget`, of which the ledger knows nothing."""
    ran = run(prompts(tmp_path, *TEXTS), sim, model=IMAGEN, max_images=2)
    assert "skipped_budget" in ran.statuses
    assert found(ran.folder) == []


def test_pictures_of_an_earlier_input_are_in_order(it, sim):
    """They are recorded, though the input no longer asks for them."""
    mole = it.file(1)
    source = prompts(it.folder.parent, "a newt", *TEXTS[3:])
    run(source, sim, model=IMAGEN)
    assert (found(it.folder), audit(it.folder).checked) == ([], 4)
    mole.unlink()
    assert found(it.folder) == []


def test_an_audit_changes_nothing(it):
    """Not even a file's time."""
    cut_off(it, 1)
    before = everything(it.folder)
    audit(it.folder)
    assert everything(it.folder) == before


@pytest.mark.parametrize("damage", OF_PICTURES, ids=lambda damage: damage.__name__)
def test_each_damage_to_a_picture_is_found_once_and_mended(it, damage, sim):
    """The service is asked only where the bytes are nowhere any more, and no bytes are lost."""
    told = damage(it, 2)
    assert found(it.folder) == [told]
    before = contents(it.folder / "images", it.folder / STATE / "incoming")
    assert mend(it, sim) == (damage in PAID_AGAIN)
    assert {one.kind for one in audit(it.folder).findings} <= {"foreign", "duplicated", "edited"}
    assert before <= contents(it.folder / "images", it.folder / STATE / "set-aside")


@pytest.mark.parametrize("damage", OF_TABLES.values(), ids=OF_TABLES)
def test_each_damage_to_a_table_is_found_once_and_mended(it, damage, sim):
    """All tables are written anew, and nothing is sent for it."""
    told = damage(it)
    assert found(it.folder) == [told]
    assert mend(it, sim) == 0
    assert found(it.folder) == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([None, *OF_PICTURES]), min_size=5, max_size=5))
def test_damages_do_not_hide_or_add_to_each_other(finished, sim, damages):
    """Any damage to any row: each is found once, and the repair pays for what is lost."""
    with tempfile.TemporaryDirectory() as home:
        it = copy_of(finished, Path(home) / "copy")
        told = [damage(it, row) for row, damage in enumerate(damages, start=1) if damage]
        assert sorted(map(str, found(it.folder))) == sorted(map(str, told))
        assert mend(it, sim) == sum(damage in PAID_AGAIN for damage in damages)
        assert {one.kind for one in audit(it.folder).findings} <= {"foreign", "duplicated", "edited"}


def test_pictures_that_changed_places_are_put_back(it, sim):
    """Both are altered, and both are still there."""
    one, other = it.file(1), it.file(2)
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    assert [kind for kind, _, _ in found(it.folder)] == ["altered", "altered"]
    assert mend(it, sim) == 0
    assert (one.read_bytes(), other.read_bytes()) == (first, second)
    assert found(it.folder) == []


def test_a_picture_moved_over_another_is_put_back_and_the_other_made_anew(it, sim):
    """One is gone from its place, one from the folder."""
    it.file(1).replace(it.file(2))
    assert [told[:2] for told in found(it.folder)] == [("missing", 1), ("altered", 2)]
    assert mend(it, sim) == 1
    assert found(it.folder) == []


def test_two_samples_with_one_file_between_them_are_told_once(tmp_path, sim):
    """A picture is gone, another one takes its name, then the first one's prompt comes back."""
    mole, rat = ({"prompt": text, "filename": "hero"} for text in ("a mole", "a rat"))
    folder = run(write_csv(tmp_path / "p.csv", [mole]), sim).folder
    next((folder / "images").iterdir()).unlink()
    run(write_csv(tmp_path / "p.csv", [rat]), sim)
    run(write_csv(tmp_path / "p.csv", [rat, mole]), sim)
    assert found(folder) == [("duplicated", 2, "hero.jpg")]


def test_a_lost_reply_is_told_with_its_worst_price(tmp_path):
    """Two attempts for each; the sum over all findings is what the summary says on top."""
    fault = {"match": "*", "fault": "reset_midway", "times": 2}
    with Simulator(faults=[fault]) as sim:
        ran = run(prompts(tmp_path, "one", "two"), sim, model=IMAGEN, max_attempts=2)
    result = audit(ran.folder)
    assert [(one.kind, one.row) for one in result.findings] == [("paid_undelivered", 1), ("paid_undelivered", 2)]
    most = sum(one.usd for one in result.findings)
    assert most == pytest.approx(ran.summary.cost_high_usd - ran.summary.cost_low_usd)
    assert most > 0


def test_a_run_killed_before_its_tables_is_one_finding(it, sim):
    """However many rows the old ones lack."""
    (it.folder / STATE / "ledger" / "9999999999.000-killed.jsonl").touch()
    prompts(it.folder / STATE, *TEXTS, "a newt", "a frog").rename(it.folder / STATE / "input.csv")
    assert found(it.folder) == [("stale", None, "manifest.parquet")]


def test_a_manifest_may_say_that_a_picture_is_gone(it, sim):
    """A run after the loss has told it: still one damage."""
    told = gone(it, 2)
    run(it.folder.parent / "prompts.csv", sim, model=IMAGEN)
    assert found(it.folder) == [told]


def test_names_are_kept_apart_when_a_picture_is_set_aside_again(it, sim):
    """Cut off four times: each piece is kept."""
    for _ in range(4):
        cut_off(it, 1)
        mend(it, sim)
    aside = it.folder / STATE / "set-aside"
    assert len(list(aside.iterdir())) == 4


def test_what_the_desktop_leaves_is_not_told(it):
    """It comes back whenever somebody looks into the folder."""
    (it.folder / "images" / ".DS_Store").touch()
    assert found(it.folder) == []


def test_a_torn_last_line_of_the_ledger_is_ignored(it):
    """It never counted."""
    ledger = next((it.folder / STATE / "ledger").iterdir())
    ledger.write_bytes(ledger.read_bytes() + b'{"t":"done","key":"ab')
    assert found(it.folder) == []


def test_a_damaged_line_of_the_ledger_is_named(it):
    """Without the ledger there is nothing to compare with."""
    ledger = next((it.folder / STATE / "ledger").iterdir())
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join([lines[0], b"\0" * 40 + b"\n", *lines[1:]]))
    (finding,) = audit(it.folder).findings
    assert (finding.kind, Path(finding.path).name) == ("damaged", ledger.name)
    assert finding.detail.startswith(f"line 2, byte {len(lines[0])}: ")


def test_a_file_that_can_not_be_read_is_not_called_lost(it):
    """It would be paid for again because of a share that is away."""
    with (
        patch.object(Folder, "read", side_effect=OSError(errno.EIO, "Input/output error")),
        pytest.raises(SettingsInvalid, match="Input/output error"),
    ):
        audit(it.folder)


def test_a_folder_without_a_run_is_said(tmp_path):
    """And not called clean."""
    with pytest.raises(SettingsInvalid, match="No imagen-batch run found"):
        audit(tmp_path)


def test_a_run_at_work_is_not_disturbed(it):
    """Neither by an audit, which would see it half done, nor by a repair."""
    result = audit(it.folder)
    with open_storage(it.folder).hold_lock():
        with pytest.raises(FolderBusy):
            audit(it.folder)
        with pytest.raises(FolderBusy):
            quarantine_damaged(result, it.folder)


def test_the_json_tells_everything(it):
    """For programs."""
    cut_off(it, 3)
    told = orjson.loads(audit_json(audit(it.folder)))
    assert (told["schema_version"], told["state"], told["checked"]) == (1, "damaged", 6)
    assert told["counts"] == {**dict.fromkeys(KINDS, 0), "truncated": 1}
    assert [(one["kind"], one["row"], one["sample"]) for one in told["findings"]] == [("truncated", 3, 1)]


def test_the_text_tells_what_a_repair_would_do(it):
    """What is paid for again and what is only put back are told apart."""
    for damage, row in ((cut_off, 1), (gone, 2), (renamed, 3), (notes, 4)):
        damage(it, row)
    text = audit_text(audit(it.folder))
    assert "2 images to make and pay for again" in text
    assert "1 image to restore" in text
    assert "foreign and duplicated files are yours" in text


def test_many_findings_of_a_kind_are_not_all_listed(it):
    """A text is read by people."""
    for number in range(50):
        (it.folder / "images" / f"{number}.txt").touch()
    text = audit_text(audit(it.folder))
    assert "and 30 more" in text
    assert len(text.splitlines()) < 30


def test_the_settings_of_a_run_are_those_it_was_made_with(it):
    """With its own copy of the input, wherever it was started."""
    settings = load_settings_snapshot(it.folder)
    assert (settings.model, settings.folder) == (IMAGEN, str(it.folder))
    assert Path(settings.prompts) == it.folder / STATE / "input.csv"
