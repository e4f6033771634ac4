"""Runs do their work in threads of their own: Prefect is neither imported nor waited for."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from imagen_batch.orchestration.execution import Execution
from imagen_batch.planning.pending import count_pending
from imagen_batch.planning.plan import make_plan
from imagen_batch.runs.run import open_run
from imagen_batch.settings import validated
from imagen_batch.simulator import Simulator
from tests.support.runs import TODAY, prompts


def _execution(run):
    return Execution(run, count_pending(run.plan, run.past))


def _open(source, sim, **chosen):
    settings = {
        "prompts": str(source),
        "out": str(source.parent / "out"),
        "provider": "simulator",
        "base_url": sim.url,
        "concurrency": 4,
        **chosen,
    }
    return open_run(make_plan(validated(settings), today=TODAY), env={})


def test_a_run_is_complete_without_anybody_watching(tmp_path):
    """No flow run, no server; the shards are there for one that comes late."""
    with Simulator() as sim, _open(prompts(tmp_path, *"abcdef"), sim) as run:
        execution = _execution(run)
        summary = execution.complete(say=lambda _text: None)
    assert (summary.exit_code, summary.counts["ok"]) == (0, 6)
    shards = [work for work in execution.shards() if work is not None]
    assert sum(work.requests for work in shards) == 6
    assert all(work.done.is_set() for work in shards)


def test_a_bug_in_a_shard_ends_the_run_with_its_tables_written(tmp_path, monkeypatch):
    """It is raised after that, and whoever watches the shards is not left waiting."""

    def broken(*_given, **_named):
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("imagen_batch.runs.run.generate_shard", broken)
    with Simulator() as sim, _open(prompts(tmp_path, *"abc"), sim) as run:
        execution = _execution(run)
        with pytest.raises(ZeroDivisionError):
            execution.complete(say=lambda _text: None)
    assert execution.summary.exit_code == 1
    assert (tmp_path / "out" / "summary.json").exists()
    assert all(work.done.is_set() for work in execution.shards() if work)


def test_the_first_ctrl_c_says_what_is_waited_for_and_how_to_end_it(tmp_path):
    """How many images, for how long, and what a second one does."""
    heard = []
    with Simulator(latency=0.5) as sim, _open(prompts(tmp_path, *"abcdefgh"), sim) as run:
        threading.Thread(target=_interrupt, args=(sim, 3), daemon=True).start()
        summary = _execution(run).complete(say=heard.append)
    assert summary.exit_code == 130
    assert summary.counts["ok"] == sim.bill.total
    assert len(heard) == 1
    words = "Stopping: waiting up to 30 s for {} images already paid for. Press Ctrl-C again to abandon them."
    assert heard[0] in {words.format(number) for number in (2, 3, 4)}


def _interrupt(sim, in_flight):
    while sim._tally.in_flight < in_flight:
        time.sleep(0.005)
    signal.raise_signal(signal.SIGINT)


def test_what_a_run_needs_does_not_import_prefect():
    """So nothing of it can hold a run up, and `launch` can begin to work while it is imported."""
    ours = "imagen_batch.orchestration"
    code = f"import sys, {ours}.launch, {ours}.execution; print('prefect' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
