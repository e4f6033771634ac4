"""With --log-format json everything on standard error is JSON, without prompts and keys."""

import json
from datetime import UTC, datetime

import pytest

from imagen_batch.cli.progress import make_progress
from imagen_batch.monitoring.json_log import JsonLog, is_wanted
from imagen_batch.orchestration.recorder import Recorder
from imagen_batch.records import Problem, SampleResult
from imagen_batch.simulator import Simulator
from tests.support.runs import write_csv

PROMPT = "a very private hedgehog"


def written(use, **options):
    """The objects that `use` writes to a log."""
    lines = []
    use(JsonLog(write=lines.append, clock=lambda: datetime(2026, 11, 26, 2, 15, tzinfo=UTC), **options))
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ("warning: row 3 is odd", "warning", "row 3 is odd"),
        ("error: no key", "error", "no key"),
        ("requests go to x", "info", "requests go to x"),
        ("two\nlines \x1b[31m\u202e", "info", "two\nlines \x1b[31m\u202e"),
        ("\udcff", "info", "\\udcff"),
    ],
)
def test_a_message_is_one_line_with_its_level(text, level, message):
    """Whatever is in it; nothing that a terminal obeys is left in the line."""
    line = JsonLog().format(text)
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\u202e" not in line
    found = json.loads(line)
    assert (found["level"], found["message"]) == (level, message)


def test_a_line_has_time_level_message_and_run_id():
    """And the id of the flow run from the moment that it is known."""

    def use(log):
        log.write(log.format("one"))
        log.note_flow_run("0123")
        log.write(log.format("two"))

    one, two = written(use, run_id="abc")
    assert one == {
        "time": "2026-11-26T02:15:00.000Z",
        "level": "info",
        "event": "message",
        "message": "one",
        "run_id": "abc",
    }
    assert two["flow_run_id"] == "0123"


@pytest.mark.parametrize(("with_prompts", "shown"), [(False, False), (True, True)])
def test_names_and_the_words_of_the_service_are_left_out_unless_asked(with_prompts, shown):
    """A name template may use the prompt, and a service may quote it."""
    sample = SampleResult(1, "filtered", reason=f"refused: {PROMPT}", filter_category="violence")
    (line,) = written(lambda log: log.sample(sample), with_prompts=with_prompts)
    assert (PROMPT in str(line)) is shown
    assert (line["status"], line["level"], line["filter_category"]) == ("filtered", "warning", "violence")


def test_problems_of_the_input_are_events_without_the_cell():
    """Line, column and message are enough."""
    lines = written(lambda log: log.problems([Problem(2, "samples", PROMPT, "expected a whole number")]))
    assert PROMPT not in str(lines)
    assert (lines[0]["event"], lines[0]["line"], lines[0]["column"]) == ("problem", 2, "samples")
    assert lines[1]["message"] == "1 problem in the prompt file: nothing was sent"


def test_progress_has_counts_and_only_samples_without_an_image():
    """With --verbose all samples are logged."""
    good, bad = SampleResult(1, "ok", cost_usd=0.04), SampleResult(1, "failed", error_kind="bad_request")

    def use(log, *, verbose=False):
        progress = make_progress(2, mode="auto", verbose=verbose, log=log)
        progress.update((good, bad))
        progress.close()

    lines = written(use)
    assert [line["event"] for line in lines] == ["sample", "progress"]
    assert lines[1]["outcomes"] == {"ok": 1, "failed": 1}
    assert (lines[1]["finished"], lines[1]["total"], lines[1]["cost_usd"]) == (2, 2, 0.04)
    assert len(written(lambda log: use(log, verbose=True))) == 3


@pytest.mark.parametrize(
    ("argv", "env", "wanted"),
    [
        (["run", "x", "--log-format", "json"], {}, True),
        (["run", "x", "--log-format=json"], {}, True),
        (["run", "x"], {"IMAGEN_BATCH_LOG_FORMAT": "json"}, True),
        (["run", "x", "--log-format", "text"], {"IMAGEN_BATCH_LOG_FORMAT": "json"}, False),
        (["run", "x"], {}, False),
    ],
)
def test_json_is_wanted_before_the_settings_are_read(argv, env, wanted):
    """An error of the command line is JSON as well."""
    assert is_wanted(argv, env) is wanted


@pytest.mark.parametrize("chosen", ["option", "environment", "file"])
def test_every_line_of_a_run_is_json_without_a_prompt(shell, tmp_path, chosen):
    """Warnings about the input included; the result on standard output is what it always is."""
    rows = [{"prompt": PROMPT, "wdith": "5"}, {"prompt": f"{PROMPT} again", "wdith": ""}]
    source = write_csv(shell.here / "book.csv", rows)
    options = ["--log-format", "json"] if chosen == "option" else []
    if chosen == "environment":
        shell.env["IMAGEN_BATCH_LOG_FORMAT"] = "json"
    if chosen == "file":
        (shell.here / "imagen-batch.toml").write_text('log_format = "json"\n')
    with Simulator() as sim:
        ended = shell.run("run", source, "--provider", "simulator", "--base-url", sim.url, "-v", "--json", *options)
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert lines
    assert len({line["run_id"] for line in lines}) == 1
    assert lines[-1]["event"] == "end"
    assert lines[-1]["samples"]["ok"] == 2
    assert PROMPT not in ended.err
    assert ended.json["samples"]["ok"] == 2


def test_errors_are_json_and_the_next_command_is_not(shell):
    """The choice ends with its command."""
    ended = shell.run("run", "nothing.csv", "--log-format", "json", "--nonsense")
    (line,) = ended.err.splitlines()
    assert json.loads(line)["level"] == "error"
    assert ended.code == 2
    ended = shell.run("run", "nothing.csv")
    assert ended.err.startswith(("error:", "nothing.csv"))


def test_problems_are_json_without_cells(shell):
    """The whole file is still reported at once."""
    source = write_csv(shell.here / "bad.csv", [{"prompt": "a", "samples": PROMPT}, {"prompt": "b", "samples": "no"}])
    ended = shell.run("run", source, "--provider", "simulator", "--log-format", "json")
    assert ended.code == 5
    events = [json.loads(line)["event"] for line in ended.err.splitlines()]
    assert events == ["problem", "problem", "message"]
    assert PROMPT not in ended.err


def test_the_recorder_uses_the_id_of_the_run_as_prefects_key(monkeypatch):
    """So that the lines of a log and a flow run are found by each other."""
    monkeypatch.setattr(Recorder, "_run", lambda _self: None)
    recorder = Recorder(None, None, notify=print, key="abc")
    assert recorder._key == "abc"
    assert Recorder(None, None, notify=print)._key != Recorder(None, None, notify=print)._key
