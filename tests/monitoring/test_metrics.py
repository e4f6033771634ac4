"""--metrics writes an OpenMetrics file that its own parser reads."""

import os
import stat

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

import imagen_batch
from imagen_batch.errors import SettingsInvalid
from imagen_batch.monitoring.metrics import BUCKETS_S, format_metrics, read_latencies, write_metrics
from imagen_batch.monitoring.start_and_end import watch_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import prompts, run


def figures(text, parse=parse_open):
    """Every figure: name and labels without the run, to its value."""
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "run")): sample.value
        for family in parse(text)
        for sample in family.samples
    }


@pytest.fixture
def ran(tmp_path):
    """A run with two images and one refusal by the budget."""
    with Simulator() as sim:
        return run(prompts(tmp_path, "a fox", "a hen", "a mole"), sim, max_images=2)


def test_the_figures_are_those_of_the_summary(ran):
    """Samples by status and reason, attempts, cost."""
    found = figures(format_metrics("out", exit_code=6, summary=ran.summary).decode())
    assert found["imagen_batch_samples", "", "ok"] == 2
    skipped = [
        value for key, value in found.items() if key[0] == "imagen_batch_samples" and key[2] == "skipped_budget"
    ]
    assert sum(skipped) == 1
    assert found["imagen_batch_attempts", "folder"] == ran.summary.attempts
    assert found["imagen_batch_rate_limited",] == 0
    assert found["imagen_batch_exit_code",] == 6
    assert found["imagen_batch_cost_usd", "low", "true"] == pytest.approx(ran.summary.cost_low_usd)
    assert found["imagen_batch_start_timestamp_seconds",] <= found["imagen_batch_end_timestamp_seconds",]


def test_the_samples_add_up_to_those_that_were_requested(ran):
    """None is counted twice or left out."""
    found = figures(format_metrics("out", exit_code=6, summary=ran.summary).decode())
    assert sum(value for key, value in found.items() if key[0] == "imagen_batch_samples") == ran.summary.asked


def test_the_histogram_counts_each_request_once(tmp_path):
    """Its four samples share one latency."""
    with Simulator() as sim:
        ran = run(prompts(tmp_path, "a fox"), sim, model="imagen-4.0-generate-001", samples=4)
    latencies = read_latencies(str(ran.folder))
    assert sum(latencies.counts) == 1
    assert latencies.seconds == pytest.approx(ran.rows[0]["latency_s"], abs=1e-3)
    found = figures(format_metrics("out", exit_code=0, summary=ran.summary).decode())
    assert found["imagen_batch_latency_seconds_count",] == 1
    values = [found["imagen_batch_latency_seconds_bucket", f"{float(limit)}"] for limit in BUCKETS_S]
    assert values == sorted(values)


def test_a_prometheus_that_knows_no_openmetrics_reads_the_file_as_well(ran):
    """As the node exporter's collector does."""
    text = format_metrics("out", exit_code=6, summary=ran.summary).decode()
    assert figures(text, parse_prometheus)["imagen_batch_samples", "", "ok"] == 2
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("name", ['a"b\\c\nd', "\x1b[31m", "\udcff", "図"])
def test_a_hostile_name_of_a_folder_stays_a_label(ran, name):
    """It begins no line of its own."""
    text = format_metrics(name, exit_code=0, summary=ran.summary).decode()
    assert figures(text)["imagen_batch_exit_code",] == 0
    assert all(line.startswith(("imagen_batch_", "# ")) for line in text.splitlines())


def test_the_file_is_replaced_whole_and_readable_for_others(tmp_path, ran):
    """Nothing else is left in the collector's folder, also where writing fails."""
    target = tmp_path / "collector" / "book.prom"
    target.parent.mkdir()
    target.write_text("old")
    write_metrics(target, "out", exit_code=0, summary=ran.summary)
    assert figures(target.read_text())
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in target.parent.iterdir()] == ["book.prom"]
    (tmp_path / "folder.prom").mkdir()
    with pytest.raises(OSError, match=r"folder\.prom"):
        write_metrics(tmp_path / "folder.prom", "out", exit_code=0, summary=ran.summary)
    assert list(tmp_path.glob(".*.part")) == []


def test_a_run_writes_its_metrics(tmp_path, monkeypatch):
    """The path is not stored with the run."""
    monkeypatch.chdir(tmp_path)
    with Simulator() as sim:
        imagen_batch.run(
            prompts(tmp_path, "a fox"), provider="simulator", base_url=sim.url, out="out", metrics=tmp_path / "m.prom"
        )
    assert figures((tmp_path / "m.prom").read_text())["imagen_batch_samples", "", "ok"] == 1
    assert "m.prom" not in (tmp_path / "out" / ".imagen-batch" / "settings.json").read_text()


def test_a_run_that_could_not_start_says_so(tmp_path):
    """Samples are not known then."""
    settings = make_settings({"prompts": "x.csv", "metrics": str(tmp_path / "m.prom")})
    with pytest.raises(SettingsInvalid), watch_run(settings, print):
        raise SettingsInvalid("no API key")
    found = figures((tmp_path / "m.prom").read_text())
    assert found["imagen_batch_exit_code",] == 2
    assert all(key[0] != "imagen_batch_samples" for key in found)


def test_a_file_that_cannot_be_written_is_a_warning(tmp_path, ran):
    """The run is what it was."""
    said = []
    settings = make_settings({"prompts": "x.csv", "metrics": str(tmp_path / "nowhere" / "m.prom")})
    with watch_run(settings, said.append) as watch:
        watch.summary = ran.summary
    assert len(said) == 1
    assert "can't be written" in said[0]


def test_what_is_no_file_is_not_replaced(tmp_path, ran):
    """`--metrics /dev/null` as root would replace the device for the whole machine."""
    pipe, said = tmp_path / "pipe", []
    os.mkfifo(pipe)
    settings = make_settings({"prompts": "x.csv", "metrics": str(pipe)})
    with watch_run(settings, said.append) as watch:
        watch.summary = ran.summary
    assert pipe.is_fifo()
    assert len(said) == 1
    assert "can't be written: it is a device" in said[0]
