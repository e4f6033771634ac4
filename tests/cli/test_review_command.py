"""`imagen-batch review` as a user types it: every error is a sentence, and no decisions are applied partially."""

import json

import pytest

from imagen_batch.simulator import Simulator
from tests.support.runs import run, write_csv


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two rows."""
    home = tmp_path_factory.mktemp("finished")
    source = write_csv(home / "b.csv", [{"id": "cover", "prompt": "a cover"}, {"id": "boat", "prompt": "a boat"}])
    with Simulator() as simulator:
        run(source, simulator)
    return home / "out"


def test_decisions_are_recorded_listed_and_withdrawn(shell, finished):
    """The output names the next command where one is needed."""
    result = shell.run("review", "redo", finished, "cover:1", "--prompt", "a cover at night", "--note", "dark")
    assert (result.code, result.out.strip()) == (0, "1 sample marked for a redo.")
    assert f"imagen-batch resume {finished} --redo" in result.err
    listed = json.loads(shell.run("review", "list", finished, "--json").out)["decisions"]
    assert [(decision["id"], decision["decision"], decision["prompt"], decision["note"]) for decision in listed] == [
        ("cover", "redo", "a cover at night", "dark")
    ]
    assert "to be made with --redo" in shell.run("review", "list", finished).out
    assert json.loads(shell.run("review", "clear", finished, "cover", "--json").out)["changed"] == {"cleared": 1}
    assert shell.run("review", "list", finished).out.strip() == "No decisions yet."


@pytest.mark.parametrize(
    ("typed", "code", "message"),
    [
        (["approve", "{}", "covr", "boat:2"], 5, "did you mean cover?"),
        (["redo", "{}", "cover", "--seed", "-1"], 2, "a seed is a whole number"),
        (["redo", "{}", "cover", "--prompt", " "], 2, "--prompt is empty"),
        (["apply", "{}"], 5, "review.csv"),
        (["approve", "nowhere", "cover"], 2, "No imagen-batch run found"),
        (["aprove", "{}", "cover"], 2, "did you mean approve?"),
    ],
)
def test_an_error_is_reported_and_no_decision_is_recorded(shell, finished, typed, code, message):
    """Each kind of error has its exit code."""
    result = shell.run("review", *(argument.replace("{}", str(finished)) for argument in typed))
    assert result.code == code
    assert message in result.err
    assert "Traceback" not in result.err
    assert shell.run("review", "list", finished).out.strip() == "No decisions yet."


def test_an_upgrade_needs_a_size(shell, finished):
    """It is not the size of the run's rows."""
    for typed in (["--upgrade", "approved"], ["--image-size", "2K"]):
        result = shell.run("resume", finished, *typed)
        assert result.code == 2
        assert "--image-size" in result.err
