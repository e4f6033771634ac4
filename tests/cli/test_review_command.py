"""`imagen-batch review` as a user types it: every ending is a sentence, and nothing is applied halfway."""

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


def test_decisions_are_recorded_listed_and_taken_back(shell, finished):
    """And the next command is named where one is needed."""
    ended = shell.type("review", "redo", finished, "cover:1", "--prompt", "a cover at night", "--note", "dark")
    assert (ended.code, ended.out.strip()) == (0, "1 sample marked for a redo.")
    assert f"imagen-batch resume {finished} --redo" in ended.err
    listed = json.loads(shell.type("review", "list", finished, "--json").out)["decisions"]
    assert [(each["id"], each["decision"], each["prompt"], each["note"]) for each in listed] == [
        ("cover", "redo", "a cover at night", "dark")
    ]
    assert "to be made with --redo" in shell.type("review", "list", finished).out
    assert json.loads(shell.type("review", "clear", finished, "cover", "--json").out)["changed"] == {"cleared": 1}
    assert shell.type("review", "list", finished).out.strip() == "No decisions yet."


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["approve", "{}", "covr", "boat:2"], 5, "did you mean cover?"),
        (["redo", "{}", "cover", "--seed", "-1"], 2, "a seed is a whole number"),
        (["redo", "{}", "cover", "--prompt", " "], 2, "--prompt is empty"),
        (["apply", "{}"], 5, "review.csv"),
        (["approve", "nowhere", "cover"], 2, "No imagen-batch run found"),
        (["aprove", "{}", "cover"], 2, "did you mean approve?"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_decided(shell, finished, typed, code, said):
    """With the exit code of its kind."""
    ended = shell.type("review", *(word.replace("{}", str(finished)) for word in typed))
    assert ended.code == code
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert shell.type("review", "list", finished).out.strip() == "No decisions yet."


def test_an_upgrade_needs_a_size(shell, finished):
    """Which is not the size of the run's rows."""
    for typed in (["--upgrade", "approved"], ["--image-size", "2K"]):
        ended = shell.type("resume", finished, *typed)
        assert ended.code == 2
        assert "--image-size" in ended.err
