"""A repair does everything that is free, names the price of the rest, and pays for no image that is on disk."""

import errno
import itertools
import os
import shutil
from dataclasses import replace

import orjson
import pyarrow.parquet as pq
import pytest

from imagen_batch.audit.audit import audit
from imagen_batch.audit.repair import repair
from imagen_batch.cli.dispatch import main
from imagen_batch.inputs.stored_input_and_settings import load_settings_snapshot
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.runs.run import open_run
from imagen_batch.simulator import Simulator, read_stamp
from imagen_batch.storage import LEDGER, STATE, Folder, open_storage
from tests.support.killing import copy_damaged, each_change
from tests.support.runs import TODAY, prompts, run

TEXTS = tuple(f"animal number {number}" for number in range(1, 11))


class KilledNow(BaseException):
    """The process is killed."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sim):
    """Return the home of a run with ten images; tests copy it and never change it."""
    home = tmp_path_factory.mktemp("finished")
    return run(prompts(home, *TEXTS), sim).folder


def lost_rows(repaired):
    """Return the rows that a repair would pay for."""
    return {sample.row for sample in repaired.samples_to_remake}


def pay(folder, repaired):
    """Pay for the lost rows, as the command does after the user has agreed."""
    plan = make_plan(load_settings_snapshot(folder), today=TODAY)
    plan = replace(plan, samples_to_remake=repaired.samples_to_remake)
    with open_run(plan, env={}) as opened:
        for shard in opened.shards():
            opened.generate_shard(shard)
        return opened.finish()


def test_only_images_that_no_longer_exist_are_paid_for(tmp_path, finished, sim):
    """Swapped, renamed, linked, unrecorded and forgotten images are restored without payment."""
    folder, lost = copy_damaged(finished, tmp_path / "copy")
    repaired = repair(folder)
    assert lost_rows(repaired) == lost
    assert (repaired.images, repaired.unpriced) == (2, 0)
    requests_before = len(sim.requests)
    pay(folder, repaired)
    assert len(sim.requests) == requests_before + 2
    assert {one.kind for one in audit(folder).findings} <= {"foreign", "duplicated"}
    for row in pq.read_table(folder / "manifest.parquet").to_pylist():
        assert read_stamp((folder / row["file"]).read_bytes())["prompt"] == row["prompt"]


def test_a_repair_that_is_killed_at_any_change_of_the_folder_is_continued(tmp_path, finished):
    """The next repair finds every image that was on disk, in any intermediate state."""
    for moment in itertools.count(1, 7):  # benchmarks/repair_kills.py has every moment
        folder, lost = copy_damaged(finished, tmp_path / f"copy{moment}")
        left = iter(range(moment, 0, -1))

        def happens(left=left):
            if next(left, None) == 1:
                raise KilledNow

        try:
            with each_change(happens):
                repair(folder)
        except KilledNow:
            assert lost_rows(repair(folder)) == lost
            assert {one.kind for one in audit(folder).findings} <= {"missing", "foreign", "duplicated"}
            shutil.rmtree(tmp_path / f"copy{moment}")
        else:
            break
    assert moment > 40


@pytest.mark.parametrize("number", range(1, 60, 7))
def test_a_full_disk_ends_a_repair_with_a_message(tmp_path, finished, number, capsys, monkeypatch):
    """This may happen at any write: there is no traceback, and the repair continues once there is space."""
    folder, lost = copy_damaged(finished, tmp_path / "copy")
    left = iter(range(number, 0, -1))

    def happens():
        if next(left, 1) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    with each_change(happens):
        code = main(["audit", str(folder), "--repair", "--json"])
    message = capsys.readouterr()
    assert code == 75
    assert "No space left on device" in message.err
    assert "Traceback" not in message.err
    assert orjson.loads(message.out)["state"] == "stopped"
    assert lost_rows(repair(folder)) == lost


def test_an_interrupted_run_is_not_finished_by_a_repair(tmp_path, sim):
    """Three of ten images exist and one is torn: one is paid for, not eight."""
    folder = run(prompts(tmp_path, *TEXTS), sim, max_images=3).folder
    (torn, *_) = (
        folder / row["file"] for row in pq.read_table(folder / "manifest.parquet").to_pylist() if row["file"]
    )
    torn.write_bytes(torn.read_bytes()[:99])
    repaired = repair(folder)
    assert repaired.images == 1
    plan = make_plan(load_settings_snapshot(folder).model_copy(update={"max_images": None}), today=TODAY)
    plan = replace(plan, samples_to_remake=repaired.samples_to_remake)
    requests_before = len(sim.requests)
    with open_run(plan, env={}) as opened:
        for shard in opened.shards():
            opened.generate_shard(shard)
        assert opened.finish().counts["ok"] == 3
    assert len(sim.requests) == requests_before + 1


def test_a_repair_does_not_pay_for_images_whose_reply_was_lost(tmp_path):
    """They are not lost images: `resume` sends them again."""
    with Simulator() as sim:
        folder = run(prompts(tmp_path, "one", "two [[sim:reset_midway*9]]"), sim, max_attempts=2).folder
    next((folder / "images").iterdir()).unlink()
    assert lost_rows(repair(folder)) == {1}


def test_without_a_terminal_and_without_yes_nothing_is_paid(tmp_path, finished, capsys, sim):
    """It does what is free, and reports the rest with its price and the command; exit code 3."""
    folder, _ = copy_damaged(finished, tmp_path / "copy")
    requests_before = len(sim.requests)
    assert main(["audit", str(folder), "--repair", "--json"]) == 3
    message = capsys.readouterr()
    assert "2 images are lost: to make them again costs at most $" in message.err
    assert f"imagen-batch audit {folder} --repair --yes --max-cost" in message.err
    assert orjson.loads(message.out)["counts"]["missing"] == 2
    assert len(sim.requests) == requests_before


def test_a_repair_keeps_the_settings_of_the_run(tmp_path, finished):
    """A repair is not another run."""
    folder, _ = copy_damaged(finished, tmp_path / "copy")
    before = (folder / STATE / "settings.json").read_bytes()
    pay(folder, repair(folder))
    assert (folder / STATE / "settings.json").read_bytes() == before


def test_a_cost_limit_pays_for_the_rows_that_fit(tmp_path, finished):
    """They are paid in input order; a limit below one price pays for none."""
    folder, _ = copy_damaged(finished, tmp_path / "copy")
    repaired = repair(folder)
    each = repaired.usd / 2
    assert lost_rows(repaired.within(each * 1.5, lambda _row: each)) == {3}
    assert lost_rows(repaired.within(each * 2, lambda _row: each)) == {3, 4}
    assert lost_rows(repaired.within(each / 2, lambda _row: each)) == set()


def test_a_clean_folder_is_left_alone(finished):
    """Nothing is written."""
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != "lock"}
    assert repair(finished).audit.clean
    after = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != "lock"}
    assert {path for path in before | after if before.get(path) != after.get(path)} <= {finished / STATE}


def test_images_that_an_earlier_version_quarantined_are_found(tmp_path, finished):
    """It moved an image out of its place and was killed before it moved it back."""
    shutil.copytree(finished, tmp_path / "out")
    row = pq.read_table(tmp_path / "out" / "manifest.parquet").to_pylist()[0]
    quarantine = tmp_path / "out" / STATE / "set-aside"
    quarantine.mkdir()
    (tmp_path / "out" / row["file"]).rename(quarantine / "000009_01_whatever_2.png")
    assert repair(tmp_path / "out").samples_to_remake == ()
    assert audit(tmp_path / "out").findings == ()


def test_edits_of_the_failures_are_kept(tmp_path, finished):
    """The table is written again; the edited file is moved aside."""
    shutil.copytree(finished, tmp_path / "out")
    (tmp_path / "out" / "failures.csv").write_text("my edits")
    repair(tmp_path / "out")
    quarantined = (tmp_path / "out" / STATE / "set-aside").glob("*failures.csv")
    assert [path.read_text() for path in quarantined] == ["my edits"]
    assert audit(tmp_path / "out").findings == ()


DAMAGE = [
    "null",
    "{}",
    "[]",
    "5",
    "{",
    '{"t":"done"}',
    '{"t":"sent","key":5}',
    "\0\0\0",
    '{"t":"done","key":"a","base":"b"}',
]


@pytest.mark.parametrize("line", DAMAGE)
def test_a_damaged_line_is_the_same_finding_everywhere(tmp_path, finished, capsys, line):
    """Run, status and audit name file, line and byte and one command; that command works, and pays for nothing."""
    folder = tmp_path / "copy" / "out"
    shutil.copytree(finished, folder)
    (path,) = (folder / LEDGER).iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(number for number, text in enumerate(lines) if b'"done"' in text)
    lines[at] = line.encode() + b"\n"
    path.write_bytes(b"".join(lines))
    place = f"line {at + 1}, byte {sum(map(len, lines[:at]))}: "
    for command in (
        ["status", str(folder)],
        ["run", str(finished.parent / "prompts.csv"), "--out", str(folder), "--provider", "simulator"],
    ):
        assert main(command) == 2
        message = capsys.readouterr().err
        assert place in message
        assert path.name in message
        assert f"imagen-batch audit {folder} --repair" in message
    assert main(["audit", str(folder)]) == 3
    assert place in capsys.readouterr().out
    assert main(["audit", str(folder), "--repair"]) == 0
    assert main(["audit", str(folder)]) == 0
    assert main(["status", str(folder)]) == 0
    statuses = pq.read_table(folder / "manifest.parquet")["status"].to_pylist()
    assert statuses == ["ok"] * 10


def test_a_ledger_that_is_no_file_is_reported(tmp_path, finished, capsys):
    """Reading a pipe would never end."""
    folder = tmp_path / "out"
    shutil.copytree(finished, folder)
    os.mkfifo(folder / LEDGER / "00000000001.000-aaaaaaaa.jsonl")
    for command in (["status", str(folder)], ["audit", str(folder)], ["audit", str(folder), "--repair"]):
        assert main(command) == 2
        assert "is not a regular file" in capsys.readouterr().err


def test_an_input_output_error_is_a_message(tmp_path, finished, capsys, monkeypatch):
    """This includes errors in reading."""

    def broken(_self, _name):
        raise OSError(errno.EIO, "Input/output error")

    shutil.copytree(finished, tmp_path / "out")
    monkeypatch.setattr(Folder, "read", broken)
    assert main(["audit", str(tmp_path / "out"), "--repair"]) == 2
    assert "Input/output error" in capsys.readouterr().err


def test_a_repair_is_the_same_in_every_storage(place, tmp_path, sim):
    """Swapped images, a table of junk, a damaged line and a torn image are repaired in a folder as in a bucket."""
    storage = open_storage(place)
    run(prompts(tmp_path, *TEXTS), sim, out=place)
    rows = pq.read_table(storage.local("manifest.parquet")).to_pylist()
    one, other = (storage.read(row["file"]) for row in rows[:2])
    storage.put(rows[0]["file"], other)
    storage.put(rows[1]["file"], one)
    storage.put(rows[2]["file"], one[:99])
    storage.put("manifest.csv", b"junk")
    for name, _ in list(storage.sizes(LEDGER)):
        lines = storage.read(name).splitlines(keepends=True)
        damaged = (b"null\n" if rows[5]["key"].encode() in line and b'"done"' in line else line for line in lines)
        storage.put(name, b"".join(damaged))
    storage = open_storage(place)
    assert {one.kind for one in audit(place).findings} == {"damaged"}
    repaired = repair(place)
    assert lost_rows(repaired) == {3}
    requests_before = len(sim.requests)
    pay(place, repaired)
    assert len(sim.requests) == requests_before + 1
    assert audit(place).findings == ()
    for row in pq.read_table(open_storage(place).local("manifest.parquet")).to_pylist():
        assert read_stamp(storage.read(row["file"]))["prompt"] == row["prompt"]


def test_a_damaged_ledger_in_a_bucket_names_the_bucket(tmp_path, sim, capsys):
    """It does not name the local copy that was read."""
    place = f"memory://pictures/{tmp_path.name}"
    run(prompts(tmp_path, *TEXTS[:2]), sim, out=place)
    storage = open_storage(place)
    (name, *_) = (name for name, _ in storage.sizes(LEDGER))
    storage.put(name, b"[]\n")
    assert main(["status", place]) == 2
    assert f"imagen-batch audit {place} --repair" in capsys.readouterr().err
