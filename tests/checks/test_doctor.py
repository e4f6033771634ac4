"""`imagen-batch doctor` names what would keep a run from working, without a generation."""

import json
import socket
import threading
import time
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from imagen_batch.checks.doctor import exit_code, findings_text
from imagen_batch.checks.finding import ok, warning
from imagen_batch.checks.key_models_clock import check_lifecycle, check_service
from imagen_batch.checks.notifications import check_notifications
from imagen_batch.checks.output_folder import check_place
from imagen_batch.checks.period_budget import check_periods
from imagen_batch.checks.prefect_server import check_prefect
from imagen_batch.checks.proxy_and_shadowing import check_proxy, check_shadows
from imagen_batch.checks.run_with_time_limit import run_checks
from imagen_batch.providers.catalogue import load_catalogue
from imagen_batch.settings import DEFAULT_MODEL, make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.storage import open_storage
from tests.support.runs import prompts

KEY = "AIzaSyA-very-secret-key-0123456789"
NO_PROMPTS = {"prompts": "-"}


@pytest.fixture(autouse=True)
def no_prefect(monkeypatch):
    """No server is named: other tests of the same process may have named one."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@contextmanager
def server(answer):
    """A server on loopback that answers every GET with what `answer` returns: status, headers, body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answer(self)
            self.send_response_only(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def service(base_url, *, model=DEFAULT_MODEL, key=KEY):
    """Check a service and return its findings by name."""
    settings = make_settings({**NO_PROMPTS, "base_url": base_url, "model": model})
    found = list(check_service(settings, load_catalogue(), [model], env={"GOOGLE_API_KEY": key}))
    assert KEY not in str(found)
    return {finding.name: finding for finding in found}


def test_a_working_service_is_ok_and_no_generation_is_sent():
    """The model is looked up, and that is all."""
    with Simulator() as simulator:
        found = service(simulator.url)
        assert {request.method for request in simulator.requests} == {"GET"}
    assert {name: finding.level for name, finding in found.items()} == {"key": "ok", "clock": "ok", "model": "ok"}
    assert "can generate" in found["model"].text


def test_a_refused_key_is_a_problem_that_does_not_show_it():
    """The service says why."""
    with Simulator() as simulator:
        found = service(simulator.url, key="invalid")
    assert found["key"].level == "problem"
    assert "GOOGLE_API_KEY is refused" in found["key"].text
    assert found["key"].advice


def test_a_model_that_does_not_exist_is_a_problem():
    """With the command that lists the others."""
    with Simulator() as simulator:
        found = service(simulator.url, model="gemini-nine")
    assert found["model"].level == "problem"
    assert "imagen-batch models" in found["model"].advice


def test_a_model_that_cannot_generate_is_a_problem():
    """A model for text exists as well."""
    body = json.dumps({"supportedGenerationMethods": ["countTokens"]}).encode()
    with server(lambda _request: (200, {}, body)) as url:
        found = service(url)
    assert found["model"].level == "problem"
    assert "countTokens" in found["model"].text


@pytest.mark.parametrize(("minutes", "level"), [(0, "ok"), (3, "warning"), (60, "problem"), (-60, "problem")])
def test_a_wrong_clock_is_reported(minutes, level):
    """The date of the reply is compared with the time of this machine, in both directions."""
    date_header = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    with server(lambda _request: (200, {"Date": date_header}, b"{}")) as url:
        assert service(url)["clock"].level == level


def test_without_a_network_the_key_is_not_blamed():
    """Nobody listens at this address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = service(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert found["key"].level == "ok"
    assert found["service"].level == "problem"


@pytest.mark.parametrize("message", ["API key not valid: {}", "strange request by {}", "{}"])
@pytest.mark.parametrize("status", [400, 403, 404, 429, 500])
def test_a_key_that_the_service_echoes_is_redacted(message, status):
    """In the text of any error; `service` checks that the key is nowhere."""
    body = json.dumps({"error": {"code": status, "message": message.format(KEY)}}).encode()
    with server(lambda _request: (status, {}, body)) as url:
        assert "problem" in {finding.level for finding in service(url).values()}


def test_a_redirect_is_not_followed_with_the_key():
    """The other host would get it."""
    seen = []
    with (
        server(lambda request: (seen.append(request.path), (200, {}, b"{}"))[1]) as other,
        server(lambda _request: (302, {"Location": other}, b"")) as url,
    ):
        found = service(url)
    assert seen == []
    assert found["service"].level == "problem"


@pytest.mark.parametrize(
    ("days", "level"), [(-1, "problem"), (0, "problem"), (1, "warning"), (30, "warning"), (31, "ok")]
)
def test_an_announced_end_is_a_warning_30_days_ahead(days, level):
    """It is a problem from the first day without the model."""
    today = date(2026, 11, 26)
    own = {"m": {"dialect": "predict", "shutdowns": {"gemini": today + timedelta(days=days)}, "successor": "n"}}
    settings = make_settings(NO_PROMPTS)
    (found,) = check_lifecycle(load_catalogue(own), ["m"], settings=settings, today=today)
    assert found.level == level
    assert level == "ok" or "--model n" in found.advice


def test_a_model_that_google_shut_down_is_no_problem_at_another_host():
    """A run may send there."""
    settings = make_settings({**NO_PROMPTS, "base_url": "https://gateway.example"})
    own = {"m": {"dialect": "predict", "shutdowns": {"gemini": date(2026, 1, 1)}}}
    (found,) = check_lifecycle(load_catalogue(own), ["m"], settings=settings, today=date(2026, 11, 26))
    assert found.level == "ok"


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path):
    """No file and no folder is left in it."""
    found = list(check_place(str(tmp_path / "new" / "run"), needed=1))
    assert [finding.level for finding in found] == ["ok", "ok"]
    assert list(tmp_path.iterdir()) == []


def test_a_file_instead_of_a_folder_is_a_problem(tmp_path):
    """The finding says what to do."""
    (tmp_path / "taken").write_text("")
    (found,) = check_place(str(tmp_path / "taken"), needed=None)
    assert found.level == "problem"
    assert "--out" in found.advice


def test_too_little_space_for_the_plan_is_a_problem(tmp_path):
    """An exabyte does not fit."""
    *_, space = check_place(str(tmp_path), needed=10**18)
    assert space.level == "problem"


def test_a_bucket_is_written_to_and_cleaned(place):
    """This holds for each kind of storage."""
    found = list(check_place(str(place), needed=None))
    assert {finding.level for finding in found} == {"ok"}
    assert [name for name, _ in open_storage(place).sizes("") if "doctor" in name] == []


def test_names_that_hide_packages_are_reported(tmp_path):
    """A module of the standard library, a dependency, and a folder of flows; others are the user's own business."""
    for name in ("json.py", "pandas.py", "mine.py"):
        (tmp_path / name).write_text("")
    for folder in ("flows", "prompts", "requests"):
        (tmp_path / folder).mkdir()
    (found,) = check_shadows(tmp_path)
    assert found.level == "warning"
    assert found.text.startswith("in the current folder, flows, json.py, pandas.py would")


def test_the_project_itself_hides_nothing():
    """Its own packages are those that are imported."""
    (found,) = check_shadows(Path(__file__).parents[2])
    assert found.level == "ok", found.text


def test_a_proxy_is_named_without_its_password(monkeypatch):
    """Requests to the service use it; those to this machine do not."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{KEY}@proxy.example:3128")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    (found,) = check_proxy("https://service.example")
    assert found.level == "warning"
    assert "proxy.example:3128" in found.text
    assert KEY not in str(found)


def test_an_unreachable_prefect_server_is_a_problem():
    """Its password is not shown."""
    (found,) = check_prefect({"PREFECT_API_URL": f"http://me:{KEY}@127.0.0.1:9/api"})
    assert found.level == "problem"
    assert KEY not in str(found)


def test_a_file_in_place_of_prefects_home_is_a_problem(tmp_path):
    """A run refuses it, too."""
    (tmp_path / "home").write_text("a file")
    (found,) = check_prefect({"PREFECT_HOME": str(tmp_path / "home")})
    assert found.level == "problem"


@pytest.mark.parametrize(("theirs", "level"), [("2.1.0", "warning"), (None, "ok")])
def test_a_prefect_server_of_another_version_is_a_warning(theirs, level):
    """A server that does not tell its version is not blamed."""

    def answer(request):
        if request.path.endswith("/health"):
            return 200, {}, b"true"
        return (200, {}, json.dumps(theirs).encode()) if theirs else (404, {}, b"")

    with server(answer) as url:
        (found,) = check_prefect({"PREFECT_API_URL": f"{url}/api"})
    assert found.level == level


def test_without_a_server_the_run_starts_its_own(tmp_path):
    """In a home that can be written to."""
    (found,) = check_prefect({"PREFECT_HOME": str(tmp_path / "home")})
    assert found.level == "ok"
    (tmp_path / "file").write_text("")


def test_addresses_of_notifications_are_checked_without_a_message():
    """None of them is shown."""
    with server(lambda _request: (500, {}, b"")) as url:
        good = f"json://{url.partition('://')[2]}/{KEY}"
        (found,) = check_notifications(make_settings({**NO_PROMPTS, "notify": good}))
        assert (found.level, found.text) == ("ok", "1 address understood by apprise; no message was sent")
    for level, addresses in (("warning", ["json://ok/", f"nosuchservice://{KEY}"]), ("problem", [KEY])):
        (found,) = check_notifications(make_settings({**NO_PROMPTS, "notify": addresses}))
        assert found.level == level
        assert KEY not in str(found)
    assert list(check_notifications(make_settings(NO_PROMPTS))) == []


def test_a_check_that_hangs_costs_its_limit_and_hides_no_other():
    """And one with a bug is named, without the text of its error."""

    def fail():
        raise RuntimeError(KEY)

    began = time.monotonic()
    found = run_checks({"slow": lambda: time.sleep(3), "bug": fail, "fast": lambda: [ok("fast", "yes")]}, limit=0.2)
    assert time.monotonic() - began < 2
    assert [(finding.name, finding.level) for finding in found] == [
        ("slow", "problem"),
        ("bug", "problem"),
        ("fast", "ok"),
    ]
    assert KEY not in str(found)


def test_lines_fit_80_columns_and_warnings_do_not_fail():
    """Only a problem does."""
    found = [ok("a", "word " * 50), warning("b", "word " * 50, "do " * 60)]
    assert all(len(line) <= 80 for line in findings_text(found).splitlines())
    assert exit_code(found) == 0


def test_the_command_reads_the_prompt_file(shell, tmp_path):
    """It prints rows, images and price, and exits with 0 if there is no problem."""
    shell.env["PREFECT_HOME"] = str(tmp_path / "home")
    source = prompts(tmp_path, "a fox", "a hen")
    ended = shell.run("doctor", source, "--provider", "simulator", "--json")
    assert ended.code == 0, ended.out
    first = ended.json["findings"][0]
    assert (first["name"], first["level"]) == ("prompts", "ok")
    assert "2 rows, 2 images to make" in first["text"]


def test_the_command_names_a_missing_key_and_a_bad_file_at_once(shell, tmp_path, monkeypatch):
    """Both are problems; nothing was written."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    shell.env["PREFECT_HOME"] = str(tmp_path / "home")
    (tmp_path / "bad.csv").write_text("prompt,samples\na fox,many\n")
    ended = shell.run("doctor", tmp_path / "bad.csv", "--json")
    assert ended.code == 2
    problems = {f["name"]: f for f in ended.json["findings"] if f["level"] == "problem"}
    assert set(problems) == {"prompts", "key"}
    assert "line 2: samples: must be a whole number" in problems["prompts"]["text"]
    assert problems["prompts"]["advice"].endswith(f"imagen-batch plan {tmp_path / 'bad.csv'}")
    assert list(shell.here.iterdir()) == []


@pytest.mark.parametrize(("limit", "level"), [("30d=1", "ok"), ("30d=0.01", "warning")])
def test_what_a_period_leaves_is_compared_with_the_plan(tmp_path, limit, level):
    """The advice says what a run does."""
    given = {"prompts": "p.csv", "out": str(tmp_path / "o"), "budget_root": str(tmp_path), "max_cost_per": [limit]}
    (found,) = check_periods(make_settings(given), needed=0.5)
    assert found.level == level
    assert ("the images may need $0.50" in found.advice) == (level == "warning")


def test_a_period_whose_sum_is_not_known_is_a_problem():
    """As a run would be refused."""
    settings = make_settings({"prompts": "p.csv", "out": "s3://bucket/run", "max_cost_per": ["30d=1"]})
    (found,) = check_periods(settings, needed=0.5)
    assert (found.name, found.level) == ("period", "problem")


def test_a_secret_block_needs_a_server():
    """No server of Prefect's own is started for it."""
    settings = make_settings({**NO_PROMPTS, "api_key_block": "google"})
    (found,) = check_service(settings, load_catalogue(), [DEFAULT_MODEL], env={"GOOGLE_API_KEY": KEY})
    assert (found.name, found.level) == ("key", "problem")
    assert "PREFECT_API_URL" in found.advice
