"""A run in threads neither imports Prefect nor waits for it."""

import pickle
import signal
import subprocess
import sys
import threading
import time

import pytest

from imagen_batch.orchestration.execution import Execution
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.pending import count_pending
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from tests.support.runs import TODAY, prompts


def _make_execution(run):
    return Execution(run, count_pending(run.plan, run.history))


def _open(source, sim, **chosen):
    settings = {
        "prompts": str(source),
        "out": str(source.parent / "out"),
        "provider": "simulator",
        "base_url": sim.url,
        "concurrency": 4,
        **chosen,
    }
    return open_run(make_plan(make_settings(settings), today=TODAY), env={})


def test_a_run_completes_without_a_watcher(tmp_path):
    """There is no flow run; the shards are kept for one that starts late."""
    with Simulator() as sim, _open(prompts(tmp_path, *"abcdef"), sim) as run:
        execution = _make_execution(run)
        summary = execution.complete(notify=lambda _text: None)
    assert (summary.exit_code, summary.counts["ok"]) == (0, 6)
    shards = [work for work in execution.shards() if work is not None]
    assert sum(work.requests for work in shards) == 6
    assert all(work.done.is_set() for work in shards)


def test_a_bug_in_a_shard_ends_the_run_with_its_tables_written(tmp_path, monkeypatch):
    """It is raised after that, and a watcher of the shards does not wait forever."""

    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("imagen_batch.runs.run.run.generate_shard", broken)
    with Simulator() as sim, _open(prompts(tmp_path, *"abc"), sim) as run:
        execution = _make_execution(run)
        with pytest.raises(ZeroDivisionError):
            execution.complete(notify=lambda _text: None)
    assert execution.summary.exit_code == 1
    assert (tmp_path / "out" / "summary.json").exists()
    assert all(work.done.is_set() for work in execution.shards() if work)


def test_the_first_ctrl_c_says_what_the_run_waits_for_and_how_to_end_it(tmp_path):
    """It names the images in flight, the grace time, and what a second Ctrl-C does."""
    messages = []
    with Simulator(latency=0.5) as sim, _open(prompts(tmp_path, *"abcdefgh"), sim) as run:
        threading.Thread(target=_interrupt, args=(sim, 3), daemon=True).start()
        summary = _make_execution(run).complete(notify=messages.append)
    assert summary.exit_code == 130
    assert summary.counts["ok"] == sim.bill.total
    assert len(messages) == 1
    expected = "Stopping: waiting up to 30 s for {} images in flight. Press Ctrl-C again to abandon them."
    assert messages[0] in {expected.format(number) for number in (2, 3, 4)}


def test_an_execution_is_pickled_as_none(tmp_path):
    """Dask and Ray send the flow that refers to it with each task, and a run can't be pickled."""
    with Simulator() as sim, _open(prompts(tmp_path, "a"), sim) as run:
        assert pickle.loads(pickle.dumps(_make_execution(run))) is None


def _interrupt(sim, in_flight):
    while sim._usage_log.in_flight < in_flight:
        time.sleep(0.005)
    signal.raise_signal(signal.SIGINT)


def test_launching_does_not_import_prefect():
    """The run can begin its work while Prefect is imported."""
    package = "imagen_batch.orchestration"
    code = f"import sys, {package}.launch_run, {package}.execution; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
