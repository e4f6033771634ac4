"""A plain run imports nothing before its first request that only other runs, replies or its end need.

Time before the first request is the time of imports, and a count of modules is the same on every machine.
"""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.support.cli import environment
from tests.support.runs import write_csv

# Ends the process at the first connection. Prints how often garbage was searched for, and the imported modules.
RUN = """
import gc, os, socket, sys, threading

first = threading.Lock()

def report(*_):
    first.acquire()  # requests connect in several threads
    searches = sum(generation["collections"] for generation in gc.get_stats())
    os.write(1, "\\n".join([str(searches), *sys.modules]).encode())
    os._exit(0)

socket.socket.connect = report
sys.argv = ["imagen-batch", "run", *sys.argv[1:]]
from imagen_batch.cli import main
main()
"""

LIBRARIES = (
    *("prefect", "pyarrow", "numpy", "pandas", "jinja2", "openpyxl", "fsspec", "google", "opentelemetry"),
    *("rich", "apprise", "cronsim", "multiprocessing", "dask", "distributed", "ray"),
)

OWN = (
    *("audit", "checks", "exports", "overview", "review", "simulator", "workers"),
    *("expansion.characters", "expansion.expand_rows", "expansion.matrix", "expansion.styles", "expansion.template"),
    *("inputs.changes", "inputs.image_owners", "inputs.patch_or_extend_input"),
    *("monitoring.end_message", "monitoring.healthcheck_ping", "monitoring.metrics", "monitoring.notify"),
    *("orchestration.attach_prefect", "orchestration.deployments", "orchestration.flow"),
    *("orchestration.recording", "orchestration.server.reachability", "orchestration.server.server_child"),
    *("planning.samples.further_versions", "prompts.spreadsheets.sheet_to_records"),
    *("reports.counters", "reports.render", "reports.summary", "reports.tables.failures", "reports.tables.write"),
    *(
        "runs.finalize",
        "runs.local_simulator",
        "runs.recovery",
        "sending.period.grant",
        "storage.objects.object_store",
    ),
)

MOST_SEARCHES = 50
MOST_OWN_MODULES = 230  # with room for modules that are divided


@pytest.fixture
def run(tmp_path):
    """A function that runs two prompts up to the first request, and returns what RUN prints."""
    source = write_csv(tmp_path / "p.csv", [{"prompt": "a mole"}, {"prompt": "a rat"}])
    env = {name: value for name, value in environment().items() if name != "PREFECT_API_URL"}

    def report(*options):
        command = [sys.executable, "-c", RUN, str(source), "--out", str(tmp_path / "out"), "--yes", *options]
        result = subprocess.run(
            command,
            env={**env, "PREFECT_HOME": str(tmp_path), "GOOGLE_API_KEY": "k" * 39},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        searches, *modules = result.stdout.split()
        return int(searches), modules

    return report


def _unneeded(modules):
    own = [f"imagen_batch.{name}" for name in OWN]
    return [name for name in sorted(modules) if any(f"{name}.".startswith(f"{each}.") for each in (*LIBRARIES, *own))]


@pytest.mark.parametrize("provider", ["gemini", "simulator"])
def test_a_new_run_imports_only_what_sends_requests(run, provider):
    """Formats, reports, tables, Prefect and what single options need are imported later, if at all."""
    _, modules = run("--provider", provider, "--base-url", "http://127.0.0.1:9")
    assert "imagen_batch.sending.generate" in modules
    assert _unneeded(modules) == []
    assert sum(name.startswith("imagen_batch") for name in modules) <= MOST_OWN_MODULES


def test_what_checks_images_is_imported_before_one_is_paid_for(run):
    """Where Pillow can't be imported, the run ends before it sends anything."""
    _, modules = run("--provider", "simulator", "--base-url", "http://127.0.0.1:9")
    assert {"imagen_batch.images.validate", "imagen_batch.sending.generate", "PIL._imaging"} <= set(modules)


def test_a_continued_run_imports_what_recovers_images_and_nothing_else(run):
    """The first run was killed: its ledger has an attempt without a reply."""
    options = ("--provider", "simulator", "--base-url", "http://127.0.0.1:9")
    run(*options)
    _, modules = run(*options)
    unneeded = [name for name in _unneeded(modules) if not name.startswith("imagen_batch.runs.recovery")]
    assert unneeded == []


def test_what_an_option_needs_is_imported_for_it(run):
    """The list above is not empty because the names are wrong."""
    _, modules = run("--provider", "simulator", "--base-url", "http://127.0.0.1:9", "--matrix", "style=ink")
    assert "imagen_batch.expansion.matrix" in _unneeded(modules)


def test_imports_are_not_searched_for_garbage(run):
    """Python would do it 130 times and free nothing; before the command begins it does it 30 times."""
    searches, _ = run("--provider", "simulator", "--base-url", "http://127.0.0.1:9")
    assert searches <= MOST_SEARCHES


def test_the_simulator_of_a_rehearsal_starts_while_the_run_is_imported(run):
    """Both take about as long, on two processors."""
    _, modules = run("--provider", "simulator")
    started, needed = (modules.index(f"imagen_batch.{name}") for name in ("runs.local_simulator", "planning.plan"))
    assert started < needed


def test_the_modules_that_are_not_imported_exist():
    """One that was renamed would be missing from the list unnoticed."""
    assert [name for name in OWN if find_spec(f"imagen_batch.{name}") is None] == []
