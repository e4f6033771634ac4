"""A cluster that is gone ends the run with 75 and one line, and finished images stay."""

from contextlib import nullcontext
from functools import partial

import pytest

from imagen_batch.errors import StopRun
from imagen_batch.orchestration.execution import Execution
from imagen_batch.orchestration.executors import cluster_executor
from imagen_batch.orchestration.executors.clusters import _dask_options, _DaskCluster
from imagen_batch.planning.checking.make_plan import make_plan
from imagen_batch.planning.pending import count_pending
from imagen_batch.runs.run import open_run
from imagen_batch.settings import make_settings
from imagen_batch.simulator import Simulator
from imagen_batch.workers.coordinator import coordinating
from imagen_batch.workers.messages import ShardTask
from imagen_batch.workers.worker import run_shard
from tests.support.runs import TODAY, prompts

UNREACHABLE = StopRun("the cluster of workers can't be reached", cause="outage", exit_code=75)


class VanishingCluster:
    """A cluster that makes each shard at once, and is gone before it can report the second."""

    def __init__(self):
        self._made = 0

    def slots(self):
        return 1

    def submit(self, task, shard_task, number):
        self._made += 1
        return run_shard(ShardTask.from_bytes(shard_task), env={}, sleep=lambda _: None).to_bytes()

    def wait(self, futures, seconds, *, for_all=False):
        if self._made > 1:
            raise UNREACHABLE
        return futures

    def result(self, future):
        return future


def test_a_scheduler_that_dies_pauses_the_run(tmp_path, monkeypatch):
    """Nothing that workers recorded is lost, and nothing more is sent."""
    monkeypatch.setattr("imagen_batch.runs.run.run.shard_size", lambda _requests: 3)
    monkeypatch.setattr(cluster_executor, "coordinating", partial(coordinating, sleep=lambda _: None))
    monkeypatch.setattr(cluster_executor, "open_cluster", lambda _settings: nullcontext(VanishingCluster()))
    with Simulator() as sim:
        settings = {"prompts": str(prompts(tmp_path, *"abcdefghi")), "out": str(tmp_path / "out")}
        settings |= {"provider": "simulator", "base_url": sim.url, "runner": "dask"}
        with open_run(make_plan(make_settings(settings), today=TODAY), env={}) as run:
            summary = Execution(run, count_pending(run.plan, run.history)).complete(notify=lambda _text: None)
        assert sim.bill.total == 6
    assert (summary.state, summary.exit_code) == ("paused", 75)
    assert summary.stopped_by == str(UNREACHABLE)
    assert (summary.counts["ok"], summary.counts["not_attempted"]) == (6, 3)


def test_dasks_own_errors_for_a_lost_scheduler_are_an_outage():
    """Dask cancels its futures then."""
    distributed = pytest.importorskip("distributed")

    class Client:
        def nthreads(self):
            raise distributed.CancelledError("2 Futures cancelled:\nReasons: ...")

    with pytest.raises(StopRun, match="can't be reached") as raised:
        _DaskCluster(None, Client()).slots()
    assert raised.value.exit_code == 75
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("chosen", "hidden"),
    [({}, False), ({"provider": "simulator"}, True), ({"provider": "vertex"}, True), ({"api_key_file": "key"}, True)],
)
def test_workers_get_the_key_only_where_they_send_it(chosen, hidden):
    """A rehearsal, a token or a key file needs no key in the environment."""
    settings = make_settings({"prompts": "x.csv", "runner": "dask", **chosen})
    env = _dask_options(settings)["cluster_kwargs"]["env"]
    assert {name for name in env if name.endswith("_API_KEY")} == (
        {"GOOGLE_API_KEY", "GEMINI_API_KEY"} if hidden else set()
    )
    assert set(env.values()) == {""}


def test_workers_get_no_address_of_a_notification():
    """They send none."""
    env = _dask_options(make_settings({"prompts": "x.csv", "runner": "dask"}))["cluster_kwargs"]["env"]
    assert env == {"IMAGEN_BATCH_NOTIFY": "", "IMAGEN_BATCH_HEARTBEAT": ""}
