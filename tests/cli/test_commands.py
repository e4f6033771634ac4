"""Commands as a user types them, with their output; none of them gets as far as Prefect."""

import json
import re

import pytest

from imagen_batch.simulator import Simulator
from tests.support.cli import command
from tests.support.runs import run, write_csv


@pytest.fixture
def csv(tmp_path):
    """A valid prompt file."""
    return write_csv(tmp_path / "p.csv", [{"prompt": "a mole"}, {"prompt": "a rat"}])


def test_help_and_version_load_nothing_heavy(tmp_path):
    """Heavy imports would delay the answer by a second."""
    loaded = command("--version", here=tmp_path, env={"PYTHONPROFILEIMPORTTIME": "1"}).stderr
    assert "imagen_batch.cli.argument_parser" in loaded
    for heavy in ("prefect", "pandas", "pyarrow", "requests", "pydantic", "PIL", "orjson"):
        assert not re.search(rf"\| +{heavy}\b", loaded), heavy


def test_the_name_of_the_program_alone_asks_for_a_command(tmp_path):
    """It is what many people type first."""
    result = command(here=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == ("error: the following arguments are required: COMMAND\nsee imagen-batch --help\n")


@pytest.mark.parametrize("name", ["run", "plan", "resume", "status", "audit", "simulate", "models"])
def test_every_command_has_help(tmp_path, name):
    """It is printed on standard output, with code 0."""
    result = command(name, "--help", here=tmp_path)
    assert result.returncode == 0
    assert "usage" in result.stdout.lower()


def test_plan_needs_no_key_and_writes_nothing(tmp_path, csv):
    """It prints the number of images and the price."""
    result = command("plan", csv, "--samples", 3, here=tmp_path)
    assert result.returncode == 0
    assert "images    6" in result.stdout
    assert "$" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_plan_as_json(tmp_path, csv):
    """Programs read counts, price and time."""
    plan = json.loads(command("plan", csv, "--json", "--requests-per-minute", 4, here=tmp_path).stdout)
    assert (plan["rows"], plan["samples"], plan["requests"]) == (2, 2, 2)
    assert plan["worst_case_usd"] > 0.06
    assert plan["seconds_at_given_rate"] == 30


def test_every_problem_is_reported_before_anything_is_sent(tmp_path):
    """The code is 5, each problem has its line number, and no folder is created."""
    source = tmp_path / "p.csv"
    source.write_text('prompt,aspect_ratio,samples\n,1:1,1\n"two\nlines",16:09,1\nc,7:3,x\n')
    result = command("run", source, "--provider", "simulator", here=tmp_path)
    assert result.returncode == 5
    for line in ("line 2", "line 3", "line 5"):
        assert line in result.stderr
    assert "nothing was sent" in result.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("content", ["", "prompt\n", "\n\n"])
def test_an_empty_file_is_invalid_input(tmp_path, content):
    """The code is 5; there is no run without rows."""
    source = tmp_path / "p.csv"
    source.write_text(content)
    assert command("run", source, "--provider", "simulator", here=tmp_path).returncode == 5


def test_invalid_input_as_json(tmp_path):
    """Programs get the problems as a list."""
    source = tmp_path / "p.csv"
    source.write_text("prompt\na, b\n")
    result = command("run", source, "--json", here=tmp_path)
    report = json.loads(result.stdout)
    assert report["state"] == "invalid"
    assert report["problems"][0]["line"] == 2
    assert "--join-extra" in result.stderr


def test_a_run_without_a_key_says_so(tmp_path, csv):
    """It does not fall back to the simulator."""
    result = command("run", csv, here=tmp_path)
    assert result.returncode == 2
    assert "GOOGLE_API_KEY" in result.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    "typed", [["--api-key", "AIzaTYPED"], ["--api-key=AIzaTYPED"], ["--api-key-file", "AIzaTYPED"]]
)
def test_a_key_that_was_typed_is_refused_and_not_repeated(tmp_path, csv, typed):
    """It would appear in the process list and in logs."""
    result = command("run", csv, *typed, here=tmp_path)
    assert result.returncode == 2
    assert "AIza" not in result.stderr + result.stdout


@pytest.mark.parametrize("options", [["--location", "evil.example/#"], ["--project", "p/../x"], ["--model", "../x"]])
def test_no_option_changes_where_a_credential_goes(tmp_path, csv, options):
    """These values become part of an address."""
    typed = ["--provider", "vertex", "--project", "p", "--dialect", "predict", *options]
    assert command("run", csv, *typed, here=tmp_path).returncode == 2


def test_googles_own_host_by_name_is_still_googles(tmp_path, csv):
    """A retired model is refused there, however the host was named."""
    typed = ["--model", "imagen-4.0-generate-001", "--base-url", "https://generativelanguage.googleapis.com"]
    assert "2026-08-17" in command("plan", csv, *typed, here=tmp_path).stderr


def test_equal_file_names_are_reported_by_the_plan(tmp_path):
    """Names count as equal if any file system treats them as equal."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a", "filename": "x"}, {"prompt": "b", "filename": "X"}])
    assert "earlier row" in command("plan", source, here=tmp_path).stderr


def test_other_peoples_files_are_not_overwritten(tmp_path, csv):
    """A folder with a manifest but without a run is refused."""
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "manifest.csv").write_text("mine")
    result = command("run", csv, "--provider", "simulator", "--out", "o", here=tmp_path)
    assert result.returncode == 2
    assert (tmp_path / "o" / "manifest.csv").read_text() == "mine"


def test_a_refusal_is_json_with_the_option_json(tmp_path, csv):
    """Programs read standard output."""
    assert json.loads(command("run", csv, "--json", here=tmp_path).stdout)["state"] == "refused"


def test_a_retired_model_is_refused_with_its_successor(tmp_path):
    """Google's own host no longer serves it; the message has date, successor and new price, and the code is 2."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": str(number)} for number in range(1000)])
    env = {"GOOGLE_API_KEY": "k"}
    result = command("run", source, "--model", "imagen-4.0-generate-001", here=tmp_path, env=env)
    assert result.returncode == 2
    for fact in ("2026-08-17", "gemini-nano-banana-2.1", "1,000 images", "$"):
        assert fact in result.stderr


def test_an_unknown_model_needs_its_dialect(tmp_path, csv):
    """Without the dialect it is refused; with it, a plan says that the price is unknown."""
    assert command("plan", csv, "--model", "mine", here=tmp_path).returncode == 2
    result = command("plan", csv, "--model", "mine", "--dialect", "predict", here=tmp_path)
    assert result.returncode == 0
    assert "no known price" in result.stdout


def test_a_limit_on_cost_needs_prices(tmp_path, csv):
    """An unknown price is not 0."""
    typed = ("run", csv, "--provider", "simulator", "--model", "mine", "--dialect", "predict", "--max-cost", 1)
    result = command(*typed, here=tmp_path)
    assert result.returncode == 2
    assert "--price" in result.stderr


def test_the_settings_file_extends_the_catalogue(tmp_path, csv):
    """`imagen-batch.toml` adds a model and its price."""
    (tmp_path / "imagen-batch.toml").write_text(
        'model = "mine"\n[models."mine"]\ndialect = "generate_content"\nprices = { any = 0.5 }\n'
    )
    result = command("plan", csv, here=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "$1.0" in result.stdout
    assert "mine" in command("models", here=tmp_path).stdout


@pytest.mark.parametrize(
    "typed",
    [
        ["--samples", "none"],
        ["--provider", "openai"],
        ["--no-such-flag"],
        ["--base-url", "http://example.com"],
        ["--retry", "everything"],
        ["--api-key-file", "missing"],
        ["--parameter", "guidance"],
        ["--aspect-ratio", "7:3"],
        ["--aspect-ratio", "wide"],
        ["--image-size", "8K"],
        ["--name-template", "{chapter}/{row}"],
        ["--name-template", "../{row}"],
        ["--name-template", "{row.__class__}"],
    ],
)
def test_wrong_usage_is_code_2(tmp_path, csv, typed):
    """There is a message, and nothing is written."""
    result = command("run", csv, *typed, here=tmp_path, env={"GOOGLE_API_KEY": "k"})
    assert result.returncode == 2
    assert result.stderr
    assert not (tmp_path / "outputs").exists()


def test_status_shows_the_state_of_a_run(tmp_path, csv):
    """It needs nothing but the folder."""
    with Simulator() as sim:
        run(csv, sim, limit=1)
    state = json.loads(command("status", tmp_path / "out", "--json", here=tmp_path).stdout)
    assert (state["samples"]["asked"], state["samples"]["ok"], state["samples"]["not_attempted"]) == (2, 1, 1)
    assert command("status", tmp_path, here=tmp_path).returncode == 2


def test_audit_prints_its_findings(tmp_path, csv):
    """The code is 3 with findings, 0 without."""
    with Simulator() as sim:
        ran = run(csv, sim)
    assert command("audit", tmp_path / "out", here=tmp_path).returncode == 0
    (ran.folder / ran.rows[0]["file"]).unlink()
    result = command("audit", tmp_path / "out", "--json", here=tmp_path)
    assert result.returncode == 3
    assert "missing" in result.stdout


def test_models_lists_the_catalogue(tmp_path):
    """Each model has lifecycle and price, in 80 columns; models that are no longer served come last."""
    listed = command("models", here=tmp_path).stdout
    assert re.search(r"^imagen-4.0-generate-001: shut down 2026-08-17$", listed, re.MULTILINE)
    assert re.match(r"gemini-nano-banana-2.1: current\n +price +1K \$0.0336", listed)
    assert max(map(len, listed.splitlines())) <= 80
    lifecycles = re.findall(r"^\S+: (current|deprecated|shut down)", listed, re.MULTILINE)
    assert lifecycles == sorted(lifecycles)


def test_standard_input_is_read(tmp_path):
    """The name `-` stands for it."""
    result = command("plan", "-", here=tmp_path, stdin="prompt,samples\na mole,2\n")
    assert "images    2" in result.stdout
    assert command("plan", "-", here=tmp_path, stdin="id,caption\n1,a mole\n").returncode == 5
    assert "images    2" in command("plan", "-", here=tmp_path, stdin="a mole, rowing\na rat\n").stdout


@pytest.mark.parametrize(
    ("typed", "suggestion"),
    [
        (["rnu", "p.csv"], "run"),
        (["run", "p.csv", "--max-costs", "3"], "--max-cost"),
        (["run", "p.csv", "--provider", "simulater"], "simulator"),
        (["resume", "out", "--retry", "faild"], "failed"),
        (["plan", "p.csv", "--model", "gemini-nano-bananna-2.1"], "gemini-nano-banana-2.1"),
        (["plan", "p.csv", "--aspect-ratio", "16:90"], "16:9"),
        (["plan", "p.csv", "--prompt-column", "promt"], "prompt"),
        (["plan", "p.csv", "--config", "own.toml"], "max_cost"),
    ],
)
def test_a_misspelled_word_gets_a_suggestion(tmp_path, csv, typed, suggestion):
    """This holds for options, commands, choices, models, ratios, columns and settings."""
    (tmp_path / "own.toml").write_text("max_costs = 3\n")
    result = command(*typed, here=tmp_path)
    assert result.returncode in {2, 5}
    assert f"did you mean {suggestion}?" in result.stderr


def test_a_usage_error_is_one_line_and_a_pointer_to_the_help(tmp_path, csv):
    """The usage of all options would hide the message."""
    result = command("run", csv, "--no-such-flag", here=tmp_path)
    assert result.stderr.splitlines() == [
        "error: unrecognized arguments: --no-such-flag",
        "see imagen-batch run --help",
    ]


def test_the_help_has_a_group_for_each_kind_of_option(tmp_path):
    """No option of a run is outside of them, except --help and --config."""
    text = command("run", "--help", here=tmp_path).stdout
    groups = re.findall(r"^(\w[\w ]+):$", text, re.MULTILINE)
    assert groups == [
        "positional arguments",
        "options",
        "Request options",
        "Prompt file and file names",
        "Provider and output",
        "Rate and retries",
        "Execution",
        "Budget and resending",
        "Summary",
        "Watching",
        "Display",
        "examples",
    ]


def test_a_plan_lists_used_own_and_misspelled_columns(tmp_path):
    """Text and JSON have the same lists."""
    row = {"text": "a mole", "ratio": "16:9", "chapter": "1", "varients": "2"}
    source = write_csv(tmp_path / "p.csv", [row])
    shown = command("plan", source, here=tmp_path).stdout
    assert "used: prompt (text), aspect_ratio (ratio); your own: varients (a typo of variants?), chapter" in shown
    columns = json.loads(command("plan", source, "--json", here=tmp_path).stdout)["columns"]
    assert columns == {
        "used": {"prompt": "text", "aspect_ratio": "ratio"},
        "own": ["chapter", "varients"],
        "misspelt": {"varients": "variants"},
    }
