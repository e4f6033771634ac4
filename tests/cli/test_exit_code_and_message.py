"""A command that fails prints a sentence and no traceback, and with --json one object."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagen_batch.cli import dispatch as cli
from tests.support.cli import COMMAND, environment

LONG = "a" * 300


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with a prompt file and files of all other kinds."""
    folder = tmp_path_factory.mktemp("exit_codes")
    (folder / "p.csv").write_text("prompt\na fox\n")
    (folder / "file").write_text("x")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    (folder / "nowhere").symlink_to("missing")
    (folder / "latin.toml").write_bytes(b"model = '\xff'")
    (folder / "broken.toml").write_text("model = [")
    (folder / "deep.toml").write_text("x = " + "[" * 5000)
    (folder / "date.toml").write_text("x = 2026-13-01")
    (folder / "deep.jsonl").write_text('{"prompt": "a", "k": ' + "[" * 329 + "]" * 329 + "}\n")
    (folder / "null.csv").write_bytes(b"prompt,x\0y\na,b\n")
    with socket.socket(socket.AF_UNIX) as listening:
        before = Path.cwd()
        os.chdir(folder)  # the path of a socket must be short
        listening.bind("socket")
        os.chdir(before)
    return folder


INPUTS = [
    ("fifo", 5, "named pipe"),
    ("/dev/zero", 5, "device"),
    ("/dev/null", 5, "device"),
    ("folder", 5, "directory"),
    ("socket", 5, "socket"),
    ("loop", 5, "can't be read"),
    ("nowhere", 5, "can't be read"),
    ("file/p.csv", 5, "can't be read"),
    (LONG, 5, "can't be read"),
    ("missing.csv", 5, "can't be read"),
    ("deep.jsonl", 5, "line 1: k: lists or objects are nested too deeply"),
    ("null.csv", 5, "NUL"),
    ("\udcff.csv", 2, "not UTF-8"),
]
OPTIONS = [
    (["--base-url", "https://[::1"], "valid address"),
    (["--base-url", "http://127.0.0.1:99999"], "valid address"),
    (["--base-url", "http://127.0.0.1:x"], "valid address"),
    (["--base-url", "http://"], "expected an address"),
    (["--base-url", "http://a b"], "no spaces"),
    (["--base-url", "HTTPS://"], "expected an address"),
    (["--runner", "dask", "--dask-address", "tcp://[::1"], "valid address"),
    (["--runner", "dask", "--dask-address", "host:99999"], "valid address"),
    (["--runner", "ray", "--ray-address", "ray://[::1"], "valid address"),
    (["--out", "S3://"], "SCHEME://BUCKET"),
    (["--out", "S3://[::1/x"], "valid address"),
    (["--out", "https://[::1"], "valid address"),
    (["--out", ""], "empty"),
    (["--out", LONG], "too long"),
    (["--out", f"new/{LONG}"], "more than 255 bytes"),
    (["--out", "file"], "is a file"),
    (["--out", "file/below"], "is a file"),
    (["--out", "loop"], "symbolic links"),
    (["--out", "nowhere/x"], "link to nowhere"),
    (["--out", "\udcff"], "not UTF-8"),
    (["--config", "latin.toml"], "not UTF-8"),
    (["--config", "broken.toml"], "not TOML"),
    (["--config", "deep.toml"], "not TOML"),
    (["--config", "date.toml"], "not TOML"),
    (["--config", "folder"], "directory"),
    (["--config", "fifo"], "named pipe"),
    (["--config", "/dev/zero"], "device"),
    (["--config", "missing.toml"], "No such file"),
    (["--config", LONG], "too long"),
    (["--samples", "x"], "--samples: expected a whole number, not 'x'"),
    (["--samples", "9" * 5000], "expected a whole number, not '999"),
    (["--no-such-option"], "unrecognized"),
]


def run_command(argv, *, here, capsys, monkeypatch):
    """Run a command; return its exit code, standard error, and the one object on standard output."""
    monkeypatch.chdir(here)
    monkeypatch.setattr("imagen_batch.prompts.sources._WRITER_WITHIN_S", 0.01)
    code = cli.main([*argv, "--json"])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    assert printed.err.strip()
    return code, printed.err, json.loads(printed.out)


@pytest.mark.parametrize(("source", "code", "sentence"), INPUTS, ids=[repr(case[0])[:20] for case in INPUTS])
def test_a_path_that_is_not_a_prompt_file_is_refused(here, capsys, monkeypatch, source, code, sentence):
    """The command neither hangs nor reads endlessly."""
    monkeypatch.setattr(
        "imagen_batch.prompts.sources.stream_blocks.__kwdefaults__", {"stdin": None, "patience": 0.01}
    )
    actual, err, report = run_command(["plan", source], here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (actual, report["state"]) == (code, "invalid" if code == 5 else "refused")
    assert sentence.lower() in err.lower()


@pytest.mark.parametrize(("typed", "sentence"), OPTIONS, ids=[" ".join(case[0])[-30:] for case in OPTIONS])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_an_impossible_option_is_refused(here, capsys, monkeypatch, command, typed, sentence):
    """The code is 2, and nothing is sent."""
    monkeypatch.setattr(
        "imagen_batch.prompts.sources.stream_blocks.__kwdefaults__", {"stdin": None, "patience": 0.01}
    )
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    argv = [command, "p.csv", "--provider", "simulator", *typed]
    code, err, report = run_command(argv, here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, report["state"]) == (2, "refused")
    assert sentence.lower() in err.lower()
    assert report["message"]


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["run"], ["plan"], ["status"], ["audit"]])
def test_wrong_usage_is_printed_as_json_too(here, capsys, monkeypatch, argv):
    """The sentence is on standard error, the object on standard output."""
    code, err, report = run_command(argv, here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, report["state"]) == (2, "refused")
    assert re.search(r"^error: .*\nsee imagen-batch.* --help$", err.strip())


@pytest.mark.parametrize("command", ["status", "audit"])
@pytest.mark.parametrize(
    "folder",
    ["missing", "file", "file/x", "folder", "loop", "nowhere", LONG, "\udcff", "S3://", "https://[::1", "x://y"],
)
def test_a_location_without_a_run_is_refused(here, capsys, monkeypatch, command, folder):
    """It is a file, missing, or not a valid address."""
    code, _, report = run_command([command, folder], here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, report["state"]) == (2, "refused")


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "IMAGEN_BATCH_OUT", "IMAGEN_BATCH_MODEL", "PREFECT_HOME"])
def test_an_impossible_environment_is_refused(here, capsys, monkeypatch, name):
    """The message names the variable or setting."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv(name, {"PREFECT_API_URL": "https://[::1", "PREFECT_HOME": "file/x"}.get(name, "\udcff"))
    argv = ["run", "p.csv", "--provider", "simulator"]
    code, err, report = run_command(argv, here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, report["state"]) == (2, "refused")
    assert name.removeprefix("IMAGEN_BATCH_").lower() in err.lower()


def test_a_bug_is_a_traceback_and_an_object(here, capsys, monkeypatch):
    """A program that reads the output learns of it too."""
    monkeypatch.setattr("imagen_batch.cli.plan_report.dry_run.prepare_plan", lambda *_, **__: 1 / 0)
    monkeypatch.chdir(here)
    assert cli.main(["plan", "p.csv", "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["state"] == "bug"
    assert "ZeroDivisionError" in printed.err


def shell(line, *, here, **more):
    """Run `line` in a shell, with the real command for `imagen-batch`."""
    result = subprocess.run(
        ["bash", "-c", line.replace("imagen-batch", str(COMMAND), 1)],
        cwd=here, env=environment(more.pop("env", None)), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in result.stderr
    return result


@pytest.mark.parametrize(
    "line",
    [
        "imagen-batch plan <(cat p.csv) --json",
        "imagen-batch plan /dev/stdin --json < p.csv",
        "imagen-batch plan /dev/stdin --json < <(cat p.csv)",
        "imagen-batch plan /dev/fd/0 --json < <(cat p.csv)",
        "imagen-batch plan - --json < <(sleep 0.2; cat p.csv)",
        "imagen-batch plan fifo --json & (sleep 0.2; cat p.csv > fifo); wait $!",
    ],
)
def test_a_pipe_is_read_like_standard_input(here, line):
    """Neither its name nor the time at which its writer begins matters."""
    result = shell(line, here=here)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["rows"] == 1


@pytest.mark.parametrize(
    ("line", "code", "on_stdout", "on_stderr"),
    [
        ("imagen-batch plan p.csv --json 2>&-", 0, '"rows"', ""),
        ("imagen-batch plan p.csv --json 2>/dev/full", 0, '"rows"', ""),
        ("imagen-batch plan p.csv --json >&-", 0, "", '"rows"'),
        ("imagen-batch plan p.csv --json >/dev/full", 0, "", '"rows"'),
        ("imagen-batch plan p.csv >&- 2>&- <&-", 0, "", ""),
        ("imagen-batch plan nothing.csv --json 2>/dev/full", 5, '"invalid"', ""),
        ("imagen-batch plan - --json <&-", 5, '"invalid"', "empty"),
        ("imagen-batch plan - --json </dev/zero", 5, '"invalid"', "device"),
        ("imagen-batch --help >/dev/full", 0, "", ""),
        ("imagen-batch models >/dev/full", 0, "", "imagen-4.0"),
        ("imagen-batch models --json 2>&-; exit $?", 0, "imagen-4.0", ""),
        ("PYTHONIOENCODING=ascii imagen-batch plan p.csv", 0, "", ""),
    ],
)
def test_streams_that_are_closed_or_full_change_no_exit_code(here, line, code, on_stdout, on_stderr):
    """Text that could not be printed is on the other stream."""
    result = shell(line, here=here)
    assert result.returncode == code, result.stderr
    assert on_stdout in result.stdout
    assert on_stderr in result.stderr


def test_a_closed_standard_error_does_not_become_another_file(tmp_path):
    """The next opened file would get its descriptor, and with it what is written to standard error."""
    code = (
        "import os, sys\n"
        "from imagen_batch.system.streams import print_message, secure_streams\n"
        "secure_streams()\n"
        "ledger = os.open('ledger', os.O_WRONLY | os.O_CREAT)\n"
        "os.write(2, b'stray'); print_message('stray'); sys.stderr.write('stray')\n"
        "print(ledger)\n"
    )
    result = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$CODE" 2>&- 0<&-'],
        cwd=tmp_path, env={**os.environ, "CODE": code}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert int(result.stdout) > 2
    assert (tmp_path / "ledger").read_bytes() == b""


@pytest.mark.prefect
@pytest.mark.parametrize("closed", ["2>&-", ">/dev/full", ">&- 2>&- <&-"])
def test_a_run_whose_streams_are_closed_or_full_makes_its_images(tmp_path, prefect_server, prefect_home, closed):
    """It ends with its own code; a closed standard error once stopped it before the first image."""
    (tmp_path / "p.csv").write_text("prompt\na fox\n")
    env = {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}
    result = shell(f"imagen-batch run p.csv --provider simulator --out out --json {closed}", here=tmp_path, env=env)
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "out" / "images").iterdir())) == 1
    if closed != ">&- 2>&- <&-":
        assert '"finished"' in (result.stdout or result.stderr)


def test_a_signal_after_the_end_does_not_change_the_exit_code():
    """The result is printed by then; only Prefect still cleans up."""
    code = (
        "import atexit, os, signal, time\n"
        "from imagen_batch.cli.exit_code_and_message import end_at_signal_with, exit_code_of\n"
        "atexit.register(lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(5)))\n"
        "code = exit_code_of(lambda: 3, as_json=True); end_at_signal_with(code); raise SystemExit(code)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (3, "")


def test_a_signal_that_is_delivered_twice_counts_once(tmp_path):
    """`timeout` sends it to the process and to its group."""
    code = (
        "import os, signal\n"
        "from imagen_batch.cli.exit_code_and_message import exit_code_of\n"
        "def command():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT)\n"
        "raise SystemExit(exit_code_of(command, as_json=True))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 143
    assert json.loads(result.stdout)["state"] == "interrupted"
    assert "Traceback" not in result.stderr


def test_an_ignored_signal_stays_ignored():
    """`nohup imagen-batch run` outlives its terminal."""
    code = (
        "import os, signal\n"
        "from imagen_batch.cli.exit_code_and_message import exit_code_of\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "raise SystemExit(exit_code_of(lambda: os.kill(os.getpid(), signal.SIGHUP) or 3, as_json=True))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 3


@pytest.mark.parametrize(
    ("command", "number"), [("plan", signal.SIGTERM), ("run", signal.SIGINT), ("run", signal.SIGHUP)]
)
def test_an_early_signal_is_reported_and_leaves_no_files(tmp_path, command, number):
    """Prompts from a pipe may contain secrets: their copy is deleted."""
    spools = tmp_path / "tmp"
    spools.mkdir()
    child = subprocess.Popen(
        [str(COMMAND), command, "-", "--provider", "simulator", "--json"],
        cwd=tmp_path, env=environment({"TMPDIR": str(spools)}),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    child.stdin.write(b"prompt,api_key\na fox,secret\n")
    child.stdin.flush()
    deadline = time.monotonic() + 30
    while not list(spools.glob("imagen-batch-input-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(spools.glob("imagen-batch-input-*"))
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert json.loads(out)["state"] == "interrupted"
    assert b"Traceback" not in err
    assert not list(spools.glob("imagen-batch-input-*"))


@pytest.mark.parametrize(
    "typed",
    [
        ["--out", "file"],
        ["--base-url", "http://127.0.0.1:9"],
        ["--max-cost", "x"],
        ["--model", "who", "--dialect", "predict"],
    ],
)
def test_a_run_that_does_not_start_leaves_no_copy_of_its_input(here, tmp_path, typed):
    """The copy is deleted for every kind of refusal."""
    env = {"TMPDIR": str(tmp_path), "PREFECT_API_URL": "https://[::1"}
    result = shell(f"imagen-batch run - {' '.join(typed)} --json < <(cat p.csv)", here=here, env=env)
    assert result.returncode == 2
    assert json.loads(result.stdout)["state"] == "refused"
    assert not list(tmp_path.glob("imagen-batch-input-*"))


_KNOWN_WORDS = """
    run plan status audit models --json --out --config --samples --limit --base-url --retry --parameter --price
    --max-cost --timeout --encoding --delimiter --format --name-template --prompt-column --dask-address --runner dask
    failed a=b nan inf -1 1e999 = -- p.csv file folder deep.jsonl latin.toml /dev/null x://y s3:// {row} { utf-7 idna
    unicode_escape undefined punycode hex rot13 memory://a/b \udcff
"""
WORDS = st.one_of(st.sampled_from(_KNOWN_WORDS.split()), st.text(max_size=8))
CHARACTERS = ["prompt", ",", ";", "\t", '"', "\r", "\n", "\0", "é", "{", "}", "[", ":", "1", "id", "\ufeff"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=st.sampled_from(["plan", "status", "audit", "models"]), words=st.lists(WORDS, max_size=6))
def test_no_command_line_ends_in_a_traceback(here, capsys, monkeypatch, command, words):
    """The command line consists of known and unknown words, in any order."""
    monkeypatch.chdir(here)
    capsys.readouterr()
    words = [word for word in words if word not in {"-", "-h", "--help", "--version"}]
    code = cli.main([command, *words, "--json"])
    printed = capsys.readouterr()
    assert code in {0, 2, 3, 5}, printed.err
    assert "Traceback" not in printed.err
    if "--" not in words:
        json.loads(printed.out)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from(CHARACTERS)).map(lambda parts: "".join(parts).encode()),
    ),
    suffix=st.sampled_from([".csv", ".tsv", ".txt", ".jsonl", ".dat", ""]),
)  # fmt: skip
def test_no_prompt_file_ends_in_a_traceback(here, capsys, monkeypatch, content, suffix):
    """The file has arbitrary bytes, under any suffix."""
    monkeypatch.chdir(here)
    source = here / f"fuzzed{suffix}"
    source.write_bytes(content)
    capsys.readouterr()
    assert cli.main(["plan", source.name, "--json"]) in {0, 5}
    printed = capsys.readouterr()
    json.loads(printed.out)
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    "argv", [["plan", "a\0b"], ["plan", "p.csv", "--out", "\0"], ["status", "a\0b"], ["export", "\0", "--to", "csv"]]
)
def test_a_null_character_on_the_command_line_is_refused(here, capsys, monkeypatch, argv):
    """Programs can pass one where a shell can't."""
    code, err, _ = run_command(argv, here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert "contains a null character" in err


def test_a_null_character_in_the_settings_file_is_refused(here, capsys, monkeypatch):
    (here / "null.toml").write_text('out = "a\\u0000b"\n')
    argv = ["plan", "p.csv", "--config", "null.toml"]
    code, err, _ = run_command(argv, here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert "out = 'a\\x00b' contains a null character" in err


def test_a_folder_that_can_not_be_written_is_refused(here, capsys, monkeypatch):
    """Root may write everywhere, so `os.access` is replaced."""
    monkeypatch.setattr("imagen_batch.storage.open.os.access", lambda *_: False)
    code, err, _ = run_command(
        ["plan", "p.csv", "--out", "folder"], here=here, capsys=capsys, monkeypatch=monkeypatch
    )
    assert code == 2
    assert "can't be written to" in err


def test_a_full_temporary_folder_is_reported(here, capsys, monkeypatch):
    """The prompts of a pipe do not fit; the part that was written is deleted."""

    def full(*_):
        raise OSError(28, "No space left")

    monkeypatch.setattr("imagen_batch.prompts.sources.Spool.fill", full)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"prompt\na fox\n")))
    code, err, _ = run_command(["plan", "-"], here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 5
    assert "No space left" in err


assert shutil.which("bash"), "these tests need a shell"
