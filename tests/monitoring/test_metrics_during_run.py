"""--metrics is written while a run goes on, whole or not at all, and the figures at the end are not replaced."""

import threading
import time

from prometheus_client.openmetrics.parser import text_string_to_metric_families

import imagen_batch
from imagen_batch.monitoring.metrics_during_run import MetricsDuringRun
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.gate import Gate
from tests.support.runs import TODAY, prompts


def _figures(path):
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "run")): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


def _wait_until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.01)


def test_the_file_is_there_while_requests_are_in_flight_and_has_the_result_at_the_end(tmp_path, monkeypatch):
    """The same names for what both have: the folder, its start and its cost."""
    monkeypatch.chdir(tmp_path)
    gate, target = Gate(), tmp_path / "m.prom"
    with Simulator(clock=gate) as sim:
        job = threading.Thread(
            target=imagen_batch.run,
            args=(prompts(tmp_path, "a fox", "a hen"),),
            kwargs={"provider": "simulator", "base_url": sim.url, "out": "out", "metrics": target},
        )
        job.start()
        _wait_until(target.exists)
        before = _figures(target)
        gate.open()
        job.join(60)
    after = _figures(target)
    assert before["imagen_batch_running",] == 1
    assert before["imagen_batch_run_samples", "ok"] == 0
    assert before["imagen_batch_run_pending",] == 2
    assert before["imagen_batch_in_flight",] == 2
    assert before["imagen_batch_cost_usd", "last_run", "true"] == 0
    assert before["imagen_batch_cost_usd", "high", "true"] > 0
    assert ("imagen_batch_exit_code",) not in before
    assert after["imagen_batch_running",] == 0
    assert after["imagen_batch_exit_code",] == 0
    assert after["imagen_batch_samples", "", "ok"] == 2
    assert before["imagen_batch_start_timestamp_seconds",] == after["imagen_batch_start_timestamp_seconds",]
    assert ("imagen_batch_run_pending",) not in after
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.prom", "out", "prompts.csv"]


def _open(tmp_path, sim):
    given = {
        "prompts": str(prompts(tmp_path, "a fox", "a hen [[sim:bad_request]]", "a mole")),
        "out": str(tmp_path / "out"),
        "provider": "simulator",
        "base_url": sim.url,
    }
    return open_run(make_plan(make_settings(given), today=TODAY), env={})


def test_the_figures_follow_the_results(tmp_path):
    """By status, as they arrive; nothing is written after the end."""
    target, failures = tmp_path / "m.prom", []
    with Simulator() as sim, _open(tmp_path, sim) as run:
        metrics = MetricsDuringRun(target, failures.append, every=0.01)
        metrics.follow(run, 5)
        for shard in run.shards():
            run.generate_shard(shard)
        _wait_until(lambda: target.exists() and _figures(target)["imagen_batch_run_pending",] == 2)
        found = _figures(target)
        metrics.close()
        target.unlink()
        time.sleep(0.05)
    assert (found["imagen_batch_run_samples", "ok"], found["imagen_batch_run_samples", "failed"]) == (2, 1)
    assert found["imagen_batch_cost_usd", "last_run", "true"] > 0
    assert not target.exists()
    assert failures == []


def test_a_folder_that_is_gone_is_reported_once_and_the_run_goes_on(tmp_path, monkeypatch, caplog):
    """While it runs; the end does not repeat it."""
    monkeypatch.chdir(tmp_path)
    gate = Gate()

    def warnings():
        return [record for record in caplog.records if "can't be written" in record.message]

    def open_after_the_warning():
        _wait_until(warnings)
        gate.open()

    with Simulator(clock=gate) as sim:
        threading.Thread(target=open_after_the_warning).start()
        summary = imagen_batch.run(
            prompts(tmp_path, "a fox"),
            provider="simulator",
            base_url=sim.url,
            out="out",
            timeout=30,
            max_attempts=1,
            metrics=tmp_path / "gone" / "m.prom",
        )
    assert summary.counts["ok"] == 1
    assert len(warnings()) == 1
