"""The end of a run is reported to apprise and a healthcheck, and nothing of that changes the run."""

import json
import pickle
import subprocess
import sys
import threading
import time

import pytest

import imagen_batch
from imagen_batch.cli.absolute_paths import without_addresses
from imagen_batch.errors import InputInvalid, SettingsInvalid
from imagen_batch.monitoring.end_message import Message, describe_error, describe_summary
from imagen_batch.monitoring.healthcheck_ping import Healthcheck
from imagen_batch.monitoring.notify import collect_addresses, send
from imagen_batch.monitoring.start_and_end import watch_run
from imagen_batch.records import Problem
from imagen_batch.settings import load_watching, make_settings
from imagen_batch.simulator import Simulator
from tests.support.listener import listen
from tests.support.runs import prompts, run, write_csv

SECRET = "s3cr3t-t0ken-of-the-address"
ALL_GOOD, PARTIAL, FAILED = (Message("title", "body", code) for code in (0, 3, 2))


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """Addresses on loopback are reached directly."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def everything_below(folder):
    """The content of every file of a run."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_run_sends_one_message_with_what_how_much_where_and_what_to_do(tmp_path, monkeypatch):
    """To a real apprise address; the prompt is not in it, and the address is nowhere in the folder."""
    monkeypatch.chdir(tmp_path)
    source = write_csv(tmp_path / "book.csv", [{"prompt": "a quiet mole"}, {"prompt": "a loud rat"}])
    with Simulator() as sim, listen() as listener:
        summary = imagen_batch.run(
            source,
            provider="simulator",
            base_url=sim.url,
            notify=[f"json://{listener.host}/{SECRET}"],
            notify_on="always",
        )
    (body,) = listener.bodies
    message = json.loads(body)
    assert message["title"] == "imagen-batch book-rehearsal: finished: 2 of 2 images (by the simulator)"
    assert "cost" in message["message"] or "charges nothing" in message["message"]
    assert str(tmp_path / "outputs" / "book-rehearsal") in message["message"]
    assert "mole" not in str(message)
    assert summary.exit_code == 0
    assert SECRET.encode() not in everything_below(tmp_path / "outputs")


def test_a_message_about_missing_images_says_what_to_type(tmp_path):
    """Reasons are counted; prompts and the words of the service stay here."""
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "a fox", "a hen"), sim, max_images=1)
    message = describe_summary(ran.summary, host="studio")
    assert message.exit_code == 6
    assert "1 of 2 images" in message.title
    assert "missing: 1 skipped budget" in message.body
    assert "next: " in message.body
    assert "imagen-batch " in message.body
    assert f"in {ran.folder} on studio" in message.body
    assert "fox" not in message.body
    assert "hen" not in message.body


@pytest.mark.parametrize(
    ("notify_on", "wanted"),
    [("always", [True] * 3), ("partial", [False, True, True]), ("failure", [False, False, True])],
)
def test_a_message_is_sent_for_the_ends_that_were_chosen(notify_on, wanted):
    """Partial includes failure."""
    assert [message.is_wanted(notify_on) for message in (ALL_GOOD, PARTIAL, FAILED)] == wanted


@pytest.mark.parametrize(("notify_on", "messages"), [("always", 1), ("partial", 0)])
def test_a_complete_run_sends_no_message_unless_all_are_wanted(tmp_path, notify_on, messages):
    """The default is silent about good nights."""
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "a fox"), sim)
    with listen() as listener:
        settings = make_settings({"prompts": "x.csv", "notify": f"json://{listener.host}/", "notify_on": notify_on})
        with watch_run(settings, print) as watch:
            watch.summary = ran.summary
        assert len(listener.bodies) == messages


def test_a_refused_input_is_a_failure_that_quotes_no_cell():
    """The number of problems is enough."""
    problem = Problem(2, "prompt", "a secret plan", "is a secret plan")
    message = describe_error(InputInvalid([problem]), "outputs/book")
    assert message.is_failure
    assert "1 problem in the prompt file" in message.body
    assert "secret plan" not in message.body
    assert "nothing was sent" in message.title


def test_a_hanging_service_costs_no_more_than_the_limit():
    """The process that waits for it is gone then."""
    with listen(delay=30) as listener:
        began = time.monotonic()
        reason = send(ALL_GOOD, [f"json://{listener.host}/"], limit=1.5)
        assert time.monotonic() - began < 5
    assert reason == "no answer within 1.5 s"


@pytest.mark.parametrize("address", ["nosuchservice://x/y", "json://127.0.0.1:9/", "discord://too-short"])
def test_an_address_that_fails_is_reported_without_itself(address):
    """The service may be unknown, its port closed, or the address wrong."""
    reason = send(ALL_GOOD, [f"{address}{SECRET}"])
    assert reason == "1 address refused it"


def test_a_service_that_refuses_is_reported():
    """The other address still gets the message."""
    with listen(status=500) as bad, listen() as good:
        reason = send(ALL_GOOD, [f"json://{bad.host}/", f"json://{good.host}/"])
    assert reason == "1 address refused it"
    assert len(good.bodies) == 1


def test_a_program_that_crashes_is_reported():
    """Whatever apprise does ends with its process."""
    assert send(ALL_GOOD, ["json://x/"], program=("-c", "raise SystemExit(7)")) == "apprise failed"


def test_a_failing_notifier_changes_nothing_but_says_so(tmp_path, monkeypatch):
    """The summary is that of the run."""
    monkeypatch.chdir(tmp_path)
    said = []
    settings = make_settings(
        {"prompts": "book.csv", "notify": [f"json://127.0.0.1:9/{SECRET}"], "notify_on": "always"}
    )
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "a fox"), sim)
        with watch_run(settings, said.append) as watch:
            watch.summary = ran.summary
    assert len(said) == 1
    assert "was not sent" in said[0]
    assert SECRET not in said[0]


def test_an_error_of_the_run_is_reported_and_raised(monkeypatch):
    """The exception is not changed."""
    with listen() as listener:
        settings = make_settings(
            {"prompts": "book.csv", "notify": f"json://{listener.host}/", "heartbeat": f"{listener.url}/ping"}
        )
        with pytest.raises(ZeroDivisionError), watch_run(settings, print):
            raise ZeroDivisionError(SECRET)
        assert sorted(listener.paths) == ["/", "/ping/fail", "/ping/start"]
    (body,) = filter(None, listener.bodies)
    assert "ended by an error" in json.loads(body)["title"]
    assert SECRET not in body.decode()


@pytest.mark.parametrize(("code", "end"), [(0, "/p"), (3, "/p"), (4, "/p/fail"), (75, "/p/fail"), (130, "/p/fail")])
def test_the_heartbeat_tells_start_and_end_and_failure(code, end):
    """A run with some images missing has run."""
    with listen() as listener:
        heartbeat = Healthcheck(f"{listener.url}/p?token=1")
        heartbeat.start()
        heartbeat.finish(failed=Message("", "", code).is_failure)
        assert listener.wait_for(2) == ["/p/start?token=1", f"{end}?token=1"]


def test_a_hanging_healthcheck_delays_no_start_and_no_end():
    """The start does not wait; the end waits for the limit."""
    with listen(delay=30) as listener:
        began = time.monotonic()
        heartbeat = Healthcheck(f"{listener.url}/p", limit=0.3)
        heartbeat.start()
        assert time.monotonic() - began < 0.25
        heartbeat.finish(failed=False)
        assert time.monotonic() - began < 3
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("Thread-"))


def test_addresses_are_in_no_dump_no_text_and_no_other_process():
    """Settings are stored, shown as Prefect parameters and pickled for workers."""
    settings = make_settings(
        {"prompts": "x.csv", "notify": f"json://{SECRET}/", "heartbeat": f"https://{SECRET}.example/"}
    )
    assert settings.notify == (f"json://{SECRET}/",)
    assert SECRET not in settings.model_dump_json()
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)
    assert SECRET.encode() not in pickle.dumps(settings.without_watching())


@pytest.mark.parametrize(
    "values",
    [
        {"notify": {"url": SECRET}},
        {"notify": [SECRET, 7]},
        {"heartbeat": f"ftp://{SECRET}"},
        {"heartbeat": f"https://{SECRET} x"},
        {"notify": f"\udcff{SECRET}", "heartbeat": 7},
    ],
)
def test_a_wrong_address_is_refused_without_showing_it(values):
    """The name of the setting is enough."""
    with pytest.raises(SettingsInvalid) as raised:
        make_settings({"prompts": "x.csv", **values})
    assert SECRET not in str(raised.value)
    assert next(iter(values)) in str(raised.value) or "heartbeat" in str(raised.value)


def test_a_word_that_is_no_address_is_refused_before_anything_is_sent():
    """It is not shown."""
    with pytest.raises(SettingsInvalid, match="address 2 is not one of apprise") as raised:
        collect_addresses(["json://host/", SECRET], None)
    assert SECRET not in str(raised.value)


def test_addresses_come_from_a_file_too(tmp_path):
    """The file has one a line, and may have comments."""
    (tmp_path / "addresses").write_text("# ours\njson://one/\n\n  json://two/  \n")
    assert collect_addresses(["json://zero/"], str(tmp_path / "addresses")) == (
        "json://zero/",
        "json://one/",
        "json://two/",
    )
    with pytest.raises(SettingsInvalid, match="can't be read"):
        collect_addresses([], str(tmp_path / "nothing"))


def test_a_continued_run_takes_its_addresses_from_environment_and_file(tmp_path):
    """No other setting comes from there."""
    (tmp_path / "imagen-batch.toml").write_text('model = "other"\nnotify_on = "always"\nnotify = ["json://file/"]\n')
    env = {"IMAGEN_BATCH_NOTIFY": "json://env/", "IMAGEN_BATCH_MODEL": "third", "IMAGEN_BATCH_NONSENSE": "1"}
    assert load_watching(env=env, cwd=tmp_path) == {"notify": "json://env/", "notify_on": "always"}


def test_the_stored_command_line_has_no_address():
    """Both spellings of an option are removed."""
    typed = ["run", "book.csv", "--notify", SECRET, f"--notify={SECRET}", "--heartbeat", SECRET, "--max-cost", "5"]
    assert without_addresses(typed) == ["run", "book.csv", "--max-cost", "5"]


def test_a_run_without_reports_imports_nothing_for_them():
    """It begins as soon as before."""
    program = "\n".join(
        (
            "import sys",
            "from imagen_batch.monitoring.start_and_end import watch_run",
            "from imagen_batch.settings import make_settings",
            "with watch_run(make_settings({'prompts': 'x.csv'}), print): pass",
            "print([name for name in sys.modules if name.startswith(('imagen_batch.monitoring.', 'apprise'))])",
        )
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.strip() == "['imagen_batch.monitoring.start_and_end']"
