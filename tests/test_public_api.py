"""The package as a Python program or a notebook uses it."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import imagen_batch
from imagen_batch import InputInvalid, Settings, SettingsInvalid, Summary, plan, read_manifest, run
from imagen_batch.simulator import Simulator
from tests.support.runs import prompts, write_csv

ROOT = Path(__file__).parents[1]


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Write a prompt file into the current folder, without settings of the user."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("IMAGEN_BATCH_")]:
        monkeypatch.delenv(name)
    return write_csv(
        tmp_path / "book.csv", [{"prompt": "a mole", "seed": "7", "chapter": "1"}, {"prompt": "a rat", "seed": ""}]
    )


def test_the_example_of_the_documentation_runs(source):
    """Its eight lines make every image and end with the manifest."""
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    example, second = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len([line for line in example.splitlines() if line]) == 8
    names = {}
    exec(example, names)
    assert names["summary"].counts["ok"] == 2
    assert list(names["manifest"]["status"]) == ["ok", "ok"]
    exec(second, names)
    assert (names["row"]["prompt"], names["row"]["year"]) == ("a mole", 1908)


def test_a_run_returns_its_summary_and_calls_back_with_results(source):
    """The command prints the same summary."""
    finished = []
    with Simulator() as sim:
        summary = run(source, provider="simulator", base_url=sim.url, samples=2, on_results=finished.extend)
    assert isinstance(summary, Summary)
    assert (summary.exit_code, summary.counts["ok"], len(finished)) == (0, 4, 4)


def test_the_same_call_again_sends_only_missing_images(source):
    """The command does the same."""
    with Simulator() as sim:
        for _ in range(2):
            run(source, provider="simulator", base_url=sim.url, out=Path("out"))
        assert sim.bill.total == 2


def test_missing_images_are_no_exception(tmp_path, source):
    """The summary reports them."""
    with Simulator() as sim:
        summary = run(prompts(tmp_path, "a [[sim:bad_request]]"), provider="simulator", base_url=sim.url)
    assert (summary.exit_code, summary.counts["failed"]) == (4, 1)


def test_a_plan_has_the_values_of_the_command(source):
    """It sends and writes nothing."""
    before = set(source.parent.iterdir())
    facts = plan(source, provider="simulator", samples=3)
    assert (facts["state"], facts["rows"], facts["samples"]) == ("planned", 2, 6)
    assert facts["columns"] == {"used": {"prompt": "prompt", "seed": "seed"}, "own": ["chapter"], "misspelt": {}}
    assert set(source.parent.iterdir()) == before


def test_the_manifest_keeps_whole_numbers_where_values_are_missing(source):
    """A seed is not 7.0 because another row has none."""
    with Simulator() as sim:
        run(source, provider="simulator", base_url=sim.url, out="out")
    manifest = read_manifest("out")
    assert str(manifest["seed"].dtype) == "Int64"
    assert (manifest["seed"].iloc[0], manifest["seed"].isna().sum()) == (7, 1)
    assert (str(manifest["chapter"].dtype), manifest["chapter"].fillna(0).tolist()) == ("Int64", [1, 0])


def test_a_folder_without_a_run_has_no_manifest(tmp_path):
    """The message names the folder."""
    with pytest.raises(SettingsInvalid, match=r"No imagen-batch run found in .*nothing: it has no manifest\.parquet"):
        read_manifest(tmp_path / "nothing")


def test_a_damaged_manifest_is_named(tmp_path):
    """It is no error of the library that reads it."""
    (tmp_path / "manifest.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(SettingsInvalid, match=r"manifest\.parquet can't be read"):
        read_manifest(tmp_path)


def test_invalid_input_lists_every_problem(source):
    """The message is what the command prints."""
    source.write_text("prompt,samples\n,1\na mole,x\n")
    with pytest.raises(InputInvalid, match=r"(?s)line 2: .*line 3: .*2 problems"):
        run(source, provider="simulator")


def test_a_misspelled_setting_is_refused_with_a_suggestion(source):
    """Nothing is sent before."""
    with pytest.raises(SettingsInvalid, match="did you mean max_cost"):
        run(source, provider="simulator", max_costs=3)


def test_clusters_are_used_only_by_the_flow(source):
    """The message names it."""
    with pytest.raises(SettingsInvalid, match="generate_images"):
        run(source, provider="simulator", runner="dask")


def test_signal_handlers_and_logging_stay_unchanged(source):
    """A notebook has its own."""
    root = logging.getLogger()
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), root.handlers[:], root.level
    during = []
    with Simulator() as sim:
        run(
            source, provider="simulator", base_url=sim.url,
            on_results=lambda _samples: during.append(signal.getsignal(signal.SIGINT)),
        )  # fmt: skip
    assert set(during) == {before[0]}
    after = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), root.handlers[:], root.level
    assert after == before


def test_ctrl_c_saves_images_in_flight_and_writes_the_summary(tmp_path, source):
    """Then KeyboardInterrupt reaches the caller; the next call continues."""
    many = prompts(tmp_path, *(f"p {row}" for row in range(20)))
    with Simulator(latency=0.3) as sim:
        threading.Thread(target=_interrupt, args=(sim,), daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            run(many, provider="simulator", base_url=sim.url, concurrency=3, out="out")
        assert 0 < sim.bill.total < 20
        assert (read_manifest("out")["status"] == "ok").sum() == sim.bill.total
        run(many, provider="simulator", base_url=sim.url, concurrency=20, out="out")
        assert sim.bill.total == 20


def _interrupt(sim):
    while sim.bill.total < 2:
        time.sleep(0.005)
    signal.raise_signal(signal.SIGINT)


def test_importing_the_package_imports_no_large_library():
    """Names are imported on first use; all of them exist, and none belongs to Prefect."""
    code = (
        "import sys, imagen_batch\n"
        "assert not {'pydantic', 'pandas', 'pyarrow', 'requests', 'prefect'} & set(sys.modules)\n"
        "for name in imagen_batch.__all__: getattr(imagen_batch, name)\n"
        "assert 'prefect' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert set(imagen_batch.__all__) <= set(dir(imagen_batch))
    assert Settings(prompts="x.csv").samples == 1
    with pytest.raises(AttributeError):
        imagen_batch.nothing  # noqa: B018
