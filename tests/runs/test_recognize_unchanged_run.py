"""A run that has nothing to do is recognized without reading its rows, and any change is noticed."""

from argparse import Namespace
from pathlib import Path

import pytest

from imagen_batch.cli.commands import run as run_command
from imagen_batch.inputs.stored_input_and_settings import load_settings_to_continue
from imagen_batch.runs.finished import recognize_unchanged_run
from imagen_batch.runs.finished.recognize_unchanged_run import (
    describe_current,
    find_current_summary,
    record_finished_run,
)
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import prompts, run


@pytest.fixture(scope="module", name="finished")
def _finished(tmp_path_factory):
    """Yield the folder of a finished, recorded run of two images, with its prompt file."""
    folder = tmp_path_factory.mktemp("finished")
    with Simulator() as sim:
        ran = run(prompts(folder, "one", "two"), sim)
    record_finished_run(settings(folder), ran.summary)
    return folder


def settings(folder, **chosen):
    """Return the settings that the run was started with."""
    stored = {"prompts": str(folder / "prompts.csv"), "out": str(folder / "out"), "provider": "simulator"}
    return make_settings({**stored, **chosen})


def test_a_finished_run_is_recognized(finished):
    """The summary has its counts and costs; this run itself costs nothing."""
    summary = find_current_summary(settings(finished))
    assert (summary.counts["ok"], summary.exit_code, summary.facts.run_attempts) == (2, 0, 0)
    assert describe_current(summary) == "Nothing to send: all 2 made. The tables are current."


def test_the_command_prints_the_summary_and_starts_nothing(finished, monkeypatch, capfd):
    """Neither Prefect nor a connection is needed."""
    monkeypatch.setattr(run_command, "_launch", None)
    args = Namespace(quiet=False, as_json=False, yes=True)
    assert run_command.run_and_print(settings(finished), args) == 0
    shown = capfd.readouterr()
    assert "Nothing to send" in shown.err
    assert "ok 2" in shown.out


def test_resume_recognizes_it_too_from_any_folder(finished, monkeypatch):
    """It reads the folder's own copy of the prompt file."""
    monkeypatch.chdir(finished)
    assert find_current_summary(load_settings_to_continue("out", {})) is not None
    assert find_current_summary(settings(Path())) is not None
    assert find_current_summary(load_settings_to_continue("out", {"samples": 2})) is None


@pytest.mark.parametrize(
    "chosen", [{"samples": 2}, {"retry": "failed"}, {"model": "gemini-3.1-flash-image"}, {"provider": "gemini"}]
)
def test_other_settings_are_another_run(finished, chosen):
    """Any other setting counts, regardless of its effect."""
    assert find_current_summary(settings(finished, **chosen)) is None


def _edit_prompts(folder):
    (folder / "prompts.csv").write_text("prompt\none\nsix\n")


def _edit_table(folder):
    table = folder / "out" / "manifest.csv"
    table.write_bytes(table.read_bytes().replace(b"one", b"ONE"))


def _remove_table(folder):
    (folder / "out" / "failures.csv").unlink()


def _remove_card(folder):
    (folder / "out" / "README.md").unlink()


def _remove_image(folder):
    next((folder / "out" / "images").iterdir()).unlink()


def _edit_image(folder):
    image = next((folder / "out" / "images").iterdir())
    image.write_bytes(image.read_bytes()[:-1])


def _add_to_ledger(folder):
    with next((folder / "out" / ".imagen-batch" / "ledger").iterdir()).open("ab") as file:
        file.write(b"{}\n")


def _run_with_other_settings(folder):
    (folder / "out" / ".imagen-batch" / "settings.json").write_text("{}")


def _damage_record(folder):
    record = folder / "out" / ".imagen-batch" / "current.json"
    record.write_bytes(record.read_bytes()[:-20])


@pytest.mark.parametrize(
    "change",
    [
        *(_edit_prompts, _edit_table, _remove_table, _remove_card),
        *(_remove_image, _edit_image, _add_to_ledger, _run_with_other_settings, _damage_record),
    ],
)
def test_a_change_is_noticed(tmp_path, change):
    """The run proceeds as usual."""
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one", "two"), sim)
    record_finished_run(settings(tmp_path), ran.summary)
    assert find_current_summary(settings(tmp_path)) is not None
    change(tmp_path)
    assert find_current_summary(settings(tmp_path)) is None


def test_of_many_images_only_the_folders_are_compared(tmp_path, monkeypatch):
    """A million files would take longer than the rest; one that disappears is still noticed."""
    monkeypatch.setattr(recognize_unchanged_run, "_MAX_IMAGES", 1)
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one", "two"), sim)
    record_finished_run(settings(tmp_path), ran.summary)
    assert find_current_summary(settings(tmp_path)) is not None
    _remove_image(tmp_path)
    assert find_current_summary(settings(tmp_path)) is None


def test_another_version_writes_its_own_tables(finished, monkeypatch):
    """The digest of the program differs."""
    monkeypatch.setattr(recognize_unchanged_run, "_program", lambda: "another")
    assert find_current_summary(settings(finished)) is None


def test_a_run_with_refusals_is_recognized_with_its_causes(tmp_path):
    """They are sent again only with --retry, which is another run."""
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one", "two [[sim:finish_IMAGE_SAFETY]]"), sim)
    record_finished_run(settings(tmp_path), ran.summary)
    summary = find_current_summary(settings(tmp_path))
    assert (summary.causes, summary.next_steps) == (ran.summary.causes, ran.summary.next_steps)
    assert summary.exit_code == 3
    assert describe_current(summary) == (
        "Nothing to send: 1 made; 1 refused or failed is tried again only with --retry. The tables are current."
    )
    assert find_current_summary(settings(tmp_path, retry="filtered")) is None


def test_a_run_with_retry_is_recorded_for_runs_without(tmp_path):
    """The same command would send the refused row again."""
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one", "two [[sim:finish_IMAGE_SAFETY]]"), sim, retry="filtered")
    record_finished_run(settings(tmp_path, retry="filtered"), ran.summary)
    assert find_current_summary(settings(tmp_path, retry="filtered")) is None
    assert find_current_summary(load_settings_to_continue(tmp_path / "out", {})) is not None


def test_an_unfinished_run_is_not_recorded(tmp_path):
    """A later run has something to do."""
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "one", "two", "three"), sim, max_images=2)
    record_finished_run(settings(tmp_path), ran.summary)
    assert not (tmp_path / "out" / ".imagen-batch" / "current.json").exists()


def test_standard_input_and_stores_are_never_recognized(finished):
    """Standard input can't be read again, and a store has no times to compare."""
    assert find_current_summary(settings(finished, prompts="-")) is None
    assert find_current_summary(settings(finished, out="s3://bucket/run")) is None


def test_a_missing_folder_is_no_error(tmp_path):
    """There was no first run yet."""
    assert find_current_summary(settings(tmp_path)) is None
    assert list(Path(tmp_path).iterdir()) == []
