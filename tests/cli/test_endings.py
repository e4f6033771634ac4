"""However a command ends, it says why in a sentence, without a traceback, and prints one JSON object if asked to."""

import io
import json
import os
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

from imagen_batch.cli import commands as cli
from tests.support.cli import COMMAND, environment

LONG = "a" * 300


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with all kinds of things that are no prompt file."""
    folder = tmp_path_factory.mktemp("endings")
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
        os.chdir(folder)  # the name of a socket is short
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
    ("deep.jsonl", 5, "line 1: k: lists or objects too deep"),
    ("null.csv", 5, "NUL"),
    ("\udcff.csv", 2, "not UTF-8"),
]
OPTIONS = [
    (["--base-url", "https://[::1"], "no valid address"),
    (["--base-url", "http://127.0.0.1:99999"], "no valid address"),
    (["--base-url", "http://127.0.0.1:x"], "no valid address"),
    (["--base-url", "http://"], "expected an address"),
    (["--base-url", "http://a b"], "no spaces"),
    (["--base-url", "HTTPS://"], "expected an address"),
    (["--runner", "dask", "--dask-address", "tcp://[::1"], "no valid address"),
    (["--runner", "dask", "--dask-address", "host:99999"], "no valid address"),
    (["--runner", "ray", "--ray-address", "ray://[::1"], "no valid address"),
    (["--out", "S3://"], "SCHEME://BUCKET"),
    (["--out", "S3://[::1/x"], "no valid address"),
    (["--out", "https://[::1"], "no valid address"),
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
    (["--samples", "x"], "invalid int"),
    (["--samples", "9" * 5000], "invalid int"),
    (["--no-such-option"], "unrecognized"),
]


def ends(argv, *, here, capsys, monkeypatch):
    """Exit code, standard error, and the one object on standard output."""
    monkeypatch.chdir(here)
    monkeypatch.setattr("imagen_batch.prompts.sources._WRITER_WITHIN_S", 0.01)
    code = cli.main([*argv, "--json"])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert said.err.strip()
    return code, said.err, json.loads(said.out)


@pytest.mark.parametrize(("source", "code", "sentence"), INPUTS, ids=[repr(one[0])[:20] for one in INPUTS])
def test_what_is_no_prompt_file_is_told(here, capsys, monkeypatch, source, code, sentence):
    """Nothing hangs on it, and nothing is read without an end."""
    monkeypatch.setattr(
        "imagen_batch.prompts.sources.stream_blocks.__kwdefaults__", {"stdin": None, "patience": 0.01}
    )
    got, said, found = ends(["plan", source], here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (got, found["state"]) == (code, "invalid" if code == 5 else "refused")
    assert sentence.lower() in said.lower()


@pytest.mark.parametrize(("typed", "sentence"), OPTIONS, ids=[" ".join(one[0])[-30:] for one in OPTIONS])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_choice_that_can_not_be_is_refused(here, capsys, monkeypatch, command, typed, sentence):
    """With code 2, before anything is sent."""
    monkeypatch.setattr(
        "imagen_batch.prompts.sources.stream_blocks.__kwdefaults__", {"stdin": None, "patience": 0.01}
    )
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    argv = [command, "p.csv", "--provider", "simulator", *typed]
    code, said, found = ends(argv, here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, found["state"]) == (2, "refused")
    assert sentence.lower() in said.lower()
    assert found["message"]


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["run"], ["plan"], ["status"], ["audit"]])
def test_wrong_usage_is_told_as_json_too(here, capsys, monkeypatch, argv):
    """The usage on standard error, the object on standard output."""
    code, said, found = ends(argv, here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, found["state"]) == (2, "refused")
    assert "usage: imagen-batch" in said


@pytest.mark.parametrize("command", ["status", "audit"])
@pytest.mark.parametrize(
    "folder",
    ["missing", "file", "file/x", "folder", "loop", "nowhere", LONG, "\udcff", "S3://", "https://[::1", "x://y"],
)
def test_what_holds_no_run_is_told(here, capsys, monkeypatch, command, folder):
    """A file, nothing, an address that is none."""
    code, _, found = ends([command, folder], here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, found["state"]) == (2, "refused")


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "IMAGEN_BATCH_OUT", "IMAGEN_BATCH_MODEL", "PREFECT_HOME"])
def test_an_environment_that_can_not_be_is_refused(here, capsys, monkeypatch, name):
    """By the name of its variable or setting."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv(name, {"PREFECT_API_URL": "https://[::1", "PREFECT_HOME": "file/x"}.get(name, "\udcff"))
    argv = ["run", "p.csv", "--provider", "simulator"]
    code, said, found = ends(argv, here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, found["state"]) == (2, "refused")
    assert name.removeprefix("IMAGEN_BATCH_").lower() in said.lower()


def test_a_bug_is_a_traceback_and_an_object(here, capsys, monkeypatch):
    """So that a program that reads the output knows of it, too."""
    monkeypatch.setattr("imagen_batch.inputs.take_input.take_input", lambda *_, **__: 1 / 0)
    monkeypatch.chdir(here)
    assert cli.main(["plan", "p.csv", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["state"] == "bug"
    assert "ZeroDivisionError" in said.err


def shell(line, *, here, **more):
    """What a shell does with `line`, where `imagen-batch` is the real command."""
    done = subprocess.run(
        ["bash", "-c", line.replace("imagen-batch", str(COMMAND), 1)],
        cwd=here, env=environment(more.pop("env", None)), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


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
    """Whatever it is called, and when its writer begins."""
    done = shell(line, here=here)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 1


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
    """What could not be printed is on the other stream."""
    done = shell(line, here=here)
    assert done.returncode == code, done.stderr
    assert on_stdout in done.stdout
    assert on_stderr in done.stderr


def test_a_closed_standard_error_is_no_place_for_other_files(tmp_path):
    """The next file to be opened would get its number, and with it what is written to standard error."""
    code = (
        "import os, sys\n"
        "from imagen_batch.output import secure_streams, say\n"
        "secure_streams()\n"
        "ledger = os.open('ledger', os.O_WRONLY | os.O_CREAT)\n"
        "os.write(2, b'stray'); say('stray'); sys.stderr.write('stray')\n"
        "print(ledger)\n"
    )
    done = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -c "$CODE" 2>&- 0<&-'],
        cwd=tmp_path, env={**os.environ, "CODE": code}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert int(done.stdout) > 2
    assert (tmp_path / "ledger").read_bytes() == b""


@pytest.mark.prefect
@pytest.mark.parametrize("closed", ["2>&-", ">/dev/full", ">&- 2>&- <&-"])
def test_a_run_whose_streams_are_closed_or_full_makes_its_pictures(tmp_path, prefect_server, prefect_home, closed):
    """And ends with its own code; a closed standard error once stopped it before the first picture."""
    (tmp_path / "p.csv").write_text("prompt\na fox\n")
    env = {"PREFECT_API_URL": prefect_server.url, "PREFECT_HOME": str(prefect_home)}
    done = shell(f"imagen-batch run p.csv --provider simulator --out out --json {closed}", here=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "images").iterdir())) == 1
    if closed != ">&- 2>&- <&-":
        assert '"finished"' in (done.stdout or done.stderr)


def test_a_signal_after_the_end_does_not_change_the_exit_code():
    """The result is printed by then; only Prefect has not heard goodbye."""
    code = (
        "import atexit, os, signal, time\n"
        "from imagen_batch.endings import end_as, ended\n"
        "atexit.register(lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(5)))\n"
        "code = ended(lambda: 3, as_json=True); end_as(code); raise SystemExit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, "")


def test_a_signal_that_is_delivered_twice_ends_once(tmp_path):
    """As `timeout` sends it: to the process, and to its group."""
    code = (
        "import os, signal\n"
        "from imagen_batch.endings import ended\n"
        "def command():\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    finally:\n"
        "        os.kill(os.getpid(), signal.SIGTERM); os.kill(os.getpid(), signal.SIGINT)\n"
        "raise SystemExit(ended(command, as_json=True))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 143
    assert json.loads(done.stdout)["state"] == "interrupted"
    assert "Traceback" not in done.stderr


def test_a_signal_that_was_switched_off_stays_so():
    """`nohup imagen-batch run` outlives its terminal."""
    code = (
        "import os, signal\n"
        "from imagen_batch.endings import ended\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "raise SystemExit(ended(lambda: os.kill(os.getpid(), signal.SIGHUP) or 3, as_json=True))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("command", "number"), [("plan", signal.SIGTERM), ("run", signal.SIGINT), ("run", signal.SIGHUP)]
)
def test_an_early_signal_is_told_and_leaves_nothing_behind(tmp_path, command, number):
    """The prompts that came through a pipe may hold secrets: their copy goes away."""
    spools = tmp_path / "tmp"
    spools.mkdir()
    child = subprocess.Popen(
        [str(COMMAND), command, "-", "--provider", "simulator", "--json"],
        cwd=tmp_path, env=environment({"TMPDIR": str(spools)}),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    child.stdin.write(b"prompt,api_key\na fox,secret\n")
    child.stdin.flush()
    ends = time.monotonic() + 30
    while not list(spools.glob("imagen-batch-stdin-*")) and time.monotonic() < ends:
        time.sleep(0.02)
    assert list(spools.glob("imagen-batch-stdin-*"))
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert json.loads(out)["state"] == "interrupted"
    assert b"Traceback" not in err
    assert not list(spools.glob("imagen-batch-stdin-*"))


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
    """Whatever stopped it."""
    env = {"TMPDIR": str(tmp_path), "PREFECT_API_URL": "https://[::1"}
    done = shell(f"imagen-batch run - {' '.join(typed)} --json < <(cat p.csv)", here=here, env=env)
    assert done.returncode == 2
    assert json.loads(done.stdout)["state"] == "refused"
    assert not list(tmp_path.glob("imagen-batch-stdin-*"))


_WORDS = """
    run plan status audit models --json --out --config --samples --limit --base-url --retry --parameter --price
    --max-cost --timeout --encoding --delimiter --format --name-template --prompt-column --dask-address --runner dask
    failed a=b nan inf -1 1e999 = -- p.csv file folder deep.jsonl latin.toml /dev/null x://y s3:// {row} { utf-7 idna
    unicode_escape undefined punycode hex rot13 memory://a/b \udcff
"""
WORDS = st.one_of(st.sampled_from(_WORDS.split()), st.text(max_size=8))
CHARACTERS = ["prompt", ",", ";", "\t", '"', "\r", "\n", "\0", "é", "{", "}", "[", ":", "1", "id", "\ufeff"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(command=st.sampled_from(["plan", "status", "audit", "models"]), words=st.lists(WORDS, max_size=6))
def test_no_command_line_ends_in_a_traceback(here, capsys, monkeypatch, command, words):
    """Words that mean something and words that do not, in any order."""
    monkeypatch.chdir(here)
    capsys.readouterr()
    words = [word for word in words if word not in {"-", "-h", "--help", "--version"}]
    code = cli.main([command, *words, "--json"])
    said = capsys.readouterr()
    assert code in {0, 2, 3, 5}, said.err
    assert "Traceback" not in said.err
    if "--" not in words:
        json.loads(said.out)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from(CHARACTERS)).map(lambda parts: "".join(parts).encode()),
    ),
    suffix=st.sampled_from([".csv", ".tsv", ".txt", ".jsonl", ".dat", ""]),
)  # fmt: skip
def test_no_prompt_file_ends_in_a_traceback(here, capsys, monkeypatch, content, suffix):
    """Any bytes, under any suffix."""
    monkeypatch.chdir(here)
    source = here / f"fuzzed{suffix}"
    source.write_bytes(content)
    capsys.readouterr()
    assert cli.main(["plan", source.name, "--json"]) in {0, 5}
    said = capsys.readouterr()
    json.loads(said.out)
    assert "Traceback" not in said.err


def test_a_folder_that_can_not_be_written_is_told(here, capsys, monkeypatch):
    """Root may write everywhere, so the system is asked in its place."""
    monkeypatch.setattr("imagen_batch.storage.open.os.access", lambda *_: False)
    code, said, _ = ends(["plan", "p.csv", "--out", "folder"], here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2
    assert "can't be written to" in said


def test_a_temporary_folder_that_is_full_is_told(here, capsys, monkeypatch):
    """The prompts of a pipe don't fit, and what was written of them goes away."""

    def full(**_):
        raise OSError(28, "No space left")

    monkeypatch.setattr("imagen_batch.prompts.sources.tempfile.mkstemp", full)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"prompt\na fox\n")))
    code, said, _ = ends(["plan", "-"], here=here, capsys=capsys, monkeypatch=monkeypatch)
    assert code == 5
    assert "No space left" in said


assert shutil.which("bash"), "these tests need a shell"
