"""`imagen-batch runs` lists run folders from their summaries, whatever is in them."""

import fcntl
import json
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from imagen_batch.errors import SettingsInvalid
from imagen_batch.overview.run_list import list_runs
from imagen_batch.overview.run_table import calendar_text, runs_json, runs_text
from imagen_batch.simulator import Simulator
from tests.support.runs import prompts, run

START = datetime(2026, 11, 20, 2, 15, tzinfo=UTC)


def make_run(
    folder: Path, *, day: int = 0, summary: object = None, began_after: bool = False, **facts: object
) -> Path:
    """Write the files of a run that a list reads."""
    state = folder / ".imagen-batch"
    (state / "ledger").mkdir(parents=True)
    (state / "lock").write_text("{}")
    started = START + timedelta(days=day)
    finished = started + timedelta(minutes=10)
    began = finished + timedelta(hours=1) if began_after else started
    (state / "run.json").write_text(json.dumps({"started_at": began.isoformat()}))
    counts = {"asked": 3, "ok": 2, "filtered": 1, "failed": 0, "unknown": 0, "skipped_budget": 0, "not_attempted": 0}
    plain = {
        "state": "finished",
        "samples": counts,
        "cost_usd": 0.5,
        "provider": "gemini",
        "exit_code": 3,
        "started_at": started.isoformat(),
        "finished_at": finished.isoformat(),
    }
    text = json.dumps({**plain, **facts}) if summary is None else summary
    if text != "":
        (folder / "summary.json").write_text(str(text))
    return folder


def states(root: Path) -> dict[str, str]:
    """The state of each folder."""
    return {entry.name: entry.state for entry in list_runs(root)}


def test_a_real_run_is_listed_with_its_counts(tmp_path):
    """As its summary has them."""
    with Simulator() as simulator:
        ran = run(prompts(tmp_path, "a fox", "a hen"), simulator)
    (entry,) = list_runs(tmp_path)
    assert (entry.name, entry.state) == ("out", ran.summary.state)
    assert entry.samples["ok"] == ran.summary.counts["ok"] == 2
    assert entry.is_simulated
    assert "simulated" in runs_text([entry], tmp_path)


def test_a_real_run_without_its_summary_was_killed_and_keeps_its_date(tmp_path):
    """Its ledger and run.json say when it began."""
    with Simulator() as simulator:
        run(prompts(tmp_path, "a fox"), simulator)
    (tmp_path / "out" / "summary.json").unlink()
    (tmp_path / "out" / ".imagen-batch" / "run.json").unlink()
    (entry,) = list_runs(tmp_path)
    assert entry.state == "killed"
    assert entry.started_at is not None
    assert abs((datetime.now(UTC) - entry.started_at).total_seconds()) < 600


def test_runs_are_listed_newest_first_and_in_folders_of_folders(tmp_path):
    """As a schedule writes them."""
    for day in (2, 0, 1):
        make_run(tmp_path / "nightly" / f"day {day}", day=day)
    assert [entry.name for entry in list_runs(tmp_path)] == ["nightly/day 2", "nightly/day 1", "nightly/day 0"]


def test_the_state_tells_running_killed_and_finished_apart(tmp_path):
    """By lock and run.json, without the ledger."""
    make_run(tmp_path / "finished")
    make_run(tmp_path / "killed", began_after=True)
    make_run(tmp_path / "first killed", summary="")
    busy = make_run(tmp_path / "busy")
    with (busy / ".imagen-batch" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = states(tmp_path)
    assert found == {"finished": "finished", "killed": "killed", "first killed": "killed", "busy": "running"}


def test_a_repair_that_writes_a_new_summary_is_no_later_run(tmp_path):
    """The run keeps its date."""
    later = (START + timedelta(days=9)).isoformat()
    make_run(tmp_path / "repaired", started_at=later, finished_at=later)
    (entry,) = list_runs(tmp_path)
    assert (entry.started_at, entry.state) == (START, "finished")


def test_a_killed_run_is_shown_with_the_command_that_continues_it(tmp_path):
    """It can be pasted."""
    make_run(tmp_path / "a b", began_after=True)
    text = runs_text(list_runs(tmp_path), tmp_path)
    assert f"imagen-batch resume '{tmp_path / 'a b'}'" in text


@pytest.mark.parametrize(
    "summary",
    [
        "{",
        "[]",
        "null",
        "\x00",
        '{"state": "finished"}',
        '{"state": "finished", "samples": {"asked": -1}}',
        '{"state": "finished", "samples": 7}',
    ],
)
def test_a_damaged_summary_is_named_and_hides_no_other_run(tmp_path, summary):
    """Counts are not known then."""
    make_run(tmp_path / "good")
    make_run(tmp_path / "bad", summary=summary)
    assert states(tmp_path) == {"good": "finished", "bad": "damaged"}
    assert "damaged" in runs_text(list_runs(tmp_path), tmp_path)


@pytest.mark.parametrize("cost", [float("1e300"), True, "5", -1, [], None])
def test_an_impossible_amount_is_not_added_up(tmp_path, cost):
    """It is shown as unknown."""
    make_run(tmp_path / "good")
    make_run(tmp_path / "bad", cost_usd=cost)
    assert json.loads(runs_json(list_runs(tmp_path), tmp_path))["total"]["cost_usd"] == 0.5


def test_pipes_and_links_are_not_read(tmp_path):
    """A pipe without a writer would wait for ever; a link may lead anywhere."""
    piped = make_run(tmp_path / "piped", summary="")
    os.mkfifo(piped / "summary.json")
    (piped / ".imagen-batch" / "lock").unlink()
    os.mkfifo(piped / ".imagen-batch" / "lock")
    linked = make_run(tmp_path / "linked", summary="")
    (linked / "summary.json").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert states(tmp_path) == {"piped": "damaged", "linked": "damaged"}


def test_a_summary_behind_a_link_is_not_that_of_the_folder(tmp_path):
    """The link may lead to any file."""
    good = make_run(tmp_path / "good")
    (make_run(tmp_path / "linked", summary="") / "summary.json").symlink_to(good / "summary.json")
    assert states(tmp_path) == {"good": "finished", "linked": "damaged"}


def test_the_simulators_prices_are_not_added_up(tmp_path):
    """Nobody paid them."""
    make_run(tmp_path / "real", cost_usd=0.5)
    make_run(tmp_path / "rehearsal", cost_usd=9.0, provider="simulator")
    entries = list_runs(tmp_path)
    assert "$0.50 without the simulator's" in runs_text(entries, tmp_path)
    assert "$9" not in runs_text(entries, tmp_path)
    assert "$9" not in calendar_text(entries, tmp_path)


def test_hostile_folder_names_are_shown_harmlessly_in_80_columns(tmp_path):
    """No escape sequence, no line of its own, no wide text that breaks the table."""
    for name in ("\x1b[31mred", "two\nlines", "x" * 200, "図" * 60, "\u202egnp.exe"):
        make_run(
            tmp_path / name,
            samples=dict.fromkeys(
                ("asked", "ok", "filtered", "failed", "unknown", "skipped_budget", "not_attempted"), 10**9
            ),
        )
    text = runs_text(list_runs(tmp_path), tmp_path)
    assert "\x1b" not in text
    assert "\u202e" not in text
    lines = text.splitlines()
    assert len(lines) == 1 + 5 + 2
    assert all(cell_len(line) <= 80 for line in lines), [line for line in lines if cell_len(line) > 80]
    json.loads(runs_json(list_runs(tmp_path), tmp_path))


def test_the_calendar_names_the_days_without_a_run(tmp_path):
    """Each day has a line, and the newest comes first."""
    for day in (0, 1, 3):
        make_run(tmp_path / str(day), day=day)
    make_run(tmp_path / "again", day=3, began_after=False, state="stopped")
    lines = calendar_text(list_runs(tmp_path), tmp_path, zone=UTC).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["2026-11-23", "2026-11-22", "2026-11-21", "2026-11-20"]
    assert lines[0].endswith("1 stopped")
    assert "2 runs" in lines[0]
    assert "4 of 6 images" in lines[0]
    assert "no run" in lines[1]


def test_a_thousand_folders_take_a_moment(tmp_path):
    """Two seconds on a slow machine; ledgers and manifests are not read."""
    first = make_run(tmp_path / "0000")
    for number in range(1, 1000):
        shutil.copytree(first, tmp_path / f"{number:04}")
    began = time.process_time()
    assert len(list_runs(tmp_path)) == 1000
    assert time.process_time() - began < 2


def test_no_folder_is_said_in_a_sentence(tmp_path, shell):
    """And a folder without runs is no error."""
    with pytest.raises(SettingsInvalid, match="not a folder"):
        list_runs(tmp_path / "nothing")
    ended = shell.run("runs", tmp_path / "nothing")
    assert ended.code == 2
    assert "Traceback" not in ended.err
    ended = shell.run("runs", tmp_path)
    assert (ended.code, ended.out.startswith("No runs found in")) == (0, True)


def test_the_command_prints_json(tmp_path, shell):
    """Each run has the whole path of its folder."""
    folder = make_run(tmp_path / "one")
    ended = shell.run("runs", tmp_path, "--json")
    assert ended.json["runs"][0]["folder"] == str(folder)
    assert ended.json["runs"][0]["samples"]["asked"] == 3
