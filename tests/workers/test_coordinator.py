"""Shards run by other processes: nothing is lost, paid for twice or over a limit, whichever process dies."""

import json
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import wait

import pytest

from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.runs.heartbeat_to_workers import (
    Heartbeat,
    HeartbeatReader,
    HeartbeatWriter,
    read_heartbeat,
    wait_for_orphaned_workers,
)
from imagen_batch.runs.run import open_run
from imagen_batch.simulator import Simulator
from imagen_batch.storage import Folder
from imagen_batch.workers.allocation import Limits
from imagen_batch.workers.coordinator import coordinating
from imagen_batch.workers.messages import JobSpec, ShardReport, ShardTask
from imagen_batch.workers.worker import run_shard
from tests.support.runs import FinishedRun
from tests.support.storages import new_place
from tests.support.workers import many_prompts, plan, run_all_shards, run_in_threads

_processes = multiprocessing.get_context("forkserver")
SMALL = 5  # requests in a shard


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Make several shards of few prompts."""
    monkeypatch.setattr("imagen_batch.runs.run.run.shard_size", lambda _requests: SMALL)


def test_a_run_is_divided_among_workers(tmp_path, sim):
    """Each shard has a ledger of its own; a second run sends nothing."""
    ran = run_in_threads(many_prompts(tmp_path), sim)
    assert ran.statuses == ["ok"] * 23
    ledgers = list((ran.folder / ".imagen-batch" / "ledger").rglob("*.jsonl"))
    assert len(ledgers) == 1 + 5
    again = run_in_threads(many_prompts(tmp_path), sim)
    assert len(sim.requests) == 23
    assert again.rows == ran.rows


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_workers_and_run_can_share_a_bucket(tmp_path, sim, request, kind):
    """Images, ledgers and the heartbeat are in it."""
    place = new_place(kind, tmp_path, request)
    summary = run_in_threads(many_prompts(tmp_path, 8), sim, out=place).summary
    assert summary.counts["ok"] == 8


def test_an_error_that_stops_one_worker_stops_the_run(tmp_path):
    """The summary names the error, and the other rows stay pending."""
    with Simulator(faults=[{"match": "prompt 7", "fault": "prepay_empty"}]) as sim:
        summary = run_in_threads(many_prompts(tmp_path), sim, concurrency=2).summary
    assert summary.exit_code == 2
    assert "balance" in summary.stopped_by or "credit" in summary.stopped_by
    assert summary.counts["not_attempted"] > 0


@pytest.mark.parametrize("limit", [{"max_images": 9}, {"max_cost": 0.31, "price": 0.03}])
def test_workers_together_keep_to_the_limits_of_the_run(tmp_path, sim, limit):
    """What one shard does not need goes to the next one; the exit code is that of an exhausted budget."""
    ran = run_in_threads(many_prompts(tmp_path), sim, slots=3, **limit)
    most = 9 if "max_images" in limit else 10
    assert ran.statuses.count("ok") == sim.bill.total == most
    assert ran.statuses.count("skipped_budget") == 23 - most
    assert ran.summary.exit_code == 6


def test_the_budget_of_refused_prompts_is_used_in_another_round(tmp_path):
    """Refused prompts cost nothing, so other prompts get what their shard held."""
    with Simulator(faults=[{"match": {"regex": "prompt [0-4]$"}, "fault": "prompt_refused_400"}]) as sim:
        ran = run_in_threads(many_prompts(tmp_path), sim, max_images=18)
    assert ran.statuses.count("ok") == 18


def test_another_round_does_not_resend_lost_replies_of_this_run(tmp_path):
    """One row lost its replies, one shard its worker: only the shard is generated again by this run."""
    faults = [{"match": "prompt 7", "fault": "reset"}]
    with Simulator(faults=faults) as sim, open_run(plan(many_prompts(tmp_path), sim, max_attempts=2), env={}) as run:
        with coordinating(run, slots=lambda: 1) as coordinator:
            (first,) = coordinator.next_tasks()
            coordinator.reclaim(first)
            run_all_shards(coordinator)
        ran = FinishedRun(run.finish(), tmp_path / "out")
        assert len([one for one in sim.requests if b"prompt 7" in one.body]) == 2
    assert ran.statuses == ["ok"] * 7 + ["unknown"] + ["ok"] * 15


class Killed(BaseException):
    """The worker dies before the ledger has a record."""


def test_images_that_a_dead_worker_had_received_are_not_paid_for_again(tmp_path, sim, monkeypatch):
    """They are on disk without a record: the coordinator recovers them first."""
    with open_run(plan(many_prompts(tmp_path, 12), sim), env={}) as run:
        with coordinating(run, slots=lambda: 1, sleep=lambda _: None) as coordinator:
            (first,) = coordinator.next_tasks()
            with monkeypatch.context() as patch:
                patch.setattr(LedgerWriter, "record_result", _killed)
                with pytest.raises(Killed):
                    run_shard(first, env={})
            coordinator.reclaim(first)
            run_all_shards(coordinator)
        ran = FinishedRun(run.finish(), tmp_path / "out")
    assert ran.statuses == ["ok"] * 12
    assert sim.bill.total == 12


def _killed(*_args, **_kwargs):
    raise Killed


def test_a_worker_that_takes_over_does_not_resend_lost_replies_of_this_run(tmp_path):
    """All attempts for a row were lost: the next worker skips the row, as the next round would."""
    with Simulator(faults=[{"match": "prompt 3", "fault": "reset"}]) as sim:
        with open_run(plan(many_prompts(tmp_path, 5), sim, max_attempts=2), env={}) as run:
            with coordinating(run, slots=lambda: 1) as coordinator:
                (task,) = coordinator.next_tasks()
                run_shard(task, env={})
                report = run_shard(task, env={}, sleep=lambda _: None)
            run.finish()
        assert len([one for one in sim.requests if b"prompt 3" in one.body]) == 2
    assert sorted(sample.status for sample in report.samples) == ["ok"] * 4 + ["unknown"]


def _serve(connection):
    """Run one shard after the other until None arrives."""
    while packed := connection.recv():
        connection.send(run_shard(ShardTask.from_bytes(packed), env={}, sleep=lambda _: time.sleep(0.1)).to_bytes())


class Worker:
    """A process that runs shards, and its current task."""

    def __init__(self):
        self.connection, theirs = _processes.Pipe()
        self.process = _processes.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.task = None

    def start(self, task):
        """Start a task."""
        self.task = task
        self.connection.send(task.to_bytes())


@pytest.mark.parametrize("reassigned", [True, False], ids=["its shard goes to another worker", "its shard is lost"])
def test_a_worker_that_is_killed_loses_nothing(tmp_path, reassigned):
    """Only its attempts in flight may be paid for again, and they are reported as possibly charged."""
    with (
        Simulator(latency=0.15) as sim,
        open_run(plan(many_prompts(tmp_path, 40), sim, concurrency=4), env={}) as run,
    ):
        workers = [Worker(), Worker()]
        with coordinating(run, slots=lambda: len(workers)) as coordinator:
            _drive(coordinator, workers, sim, reassigned)
        ran = FinishedRun(run.finish(), tmp_path / "out")
        assert ran.statuses == ["ok"] * 40
        surplus, open_attempts = sim.bill.total - 40, _open_attempts(ran.folder)
        assert surplus <= open_attempts <= 4, "only what was in flight in the dead worker"
        assert sim.stats["in_flight_max"] <= 4
        assert ran.summary.cost_high_usd - ran.summary.cost_low_usd >= surplus * 0.03
        assert len(list((ran.folder / "images").iterdir())) == 40
        for worker in workers:
            worker.connection.send(None)
            worker.process.join(10)


def _open_attempts(folder):
    """Return the number of attempts without a recorded end."""
    records = [json.loads(line) for log in (folder / ".imagen-batch").rglob("*.jsonl") for line in _lines(log)]
    ended = {(record["key"], record["attempt"]) for record in records if record["t"] in ("back", "done")}
    return sum(record["t"] == "sent" and (record["key"], record["attempt"]) not in ended for record in records)


def _lines(log):
    """Return the complete lines; an incomplete last one does not count."""
    return log.read_bytes().rpartition(b"\n")[0].splitlines()


def _drive(coordinator, workers, sim, reassigned):
    """Hand out tasks and take in reports; kill the first worker midway."""
    killed, waiting = False, []
    while True:
        waiting += coordinator.next_tasks()
        for worker in workers:
            if worker.task is None and waiting:
                worker.start(waiting.pop(0))
        busy = [worker for worker in workers if worker.task]
        if not busy:
            return
        if not killed and workers[0].task and sim.bill.total >= 12:
            killed = True
            os.kill(workers[0].process.pid, signal.SIGKILL)
        for connection in wait([worker.connection for worker in busy], timeout=0.02):
            (worker,) = (each for each in busy if each.connection is connection)
            try:
                coordinator.complete(worker.task, ShardReport.from_bytes(connection.recv()))
            except (EOFError, ConnectionResetError):  # dead, with or without a task that it had not read
                workers.remove(worker)
                waiting += [worker.task] if reassigned else []
                if not reassigned:
                    coordinator.reclaim(worker.task)
            worker.task = None


def test_a_worker_in_another_folder_refuses_to_work(tmp_path, sim):
    """Its images would be lost."""
    task = _task_of_unknown_run(tmp_path, sim)
    report = run_shard(task, env={})
    assert "workers have to share it" in str(report.error)
    assert not sim.requests


def _task_of_unknown_run(tmp_path, sim):
    """Return a task of a run that has no heartbeat here."""
    run_plan = plan(many_prompts(tmp_path), sim)
    return ShardTask(JobSpec("unknown", run_plan.settings, sim.url, run_plan.models()), 1, (), Limits(), 1.0)


def test_workers_read_what_the_run_publishes(tmp_path):
    """They read their share, a stop, and the end of the run."""
    folder = Folder(tmp_path)
    writer = HeartbeatWriter(folder, "mine", every=1000)
    with writer.running():
        reader = HeartbeatReader(folder, "mine")
        writer.publish(share=0.25)
        assert reader.poll().share == 0.25
        assert not reader.poll().stop
        writer.publish(stop=True)
        assert (reader.poll().stop, reader.poll().cut) == (True, False)
    assert reader.poll().cut
    assert read_heartbeat(folder).over


def test_a_worker_stops_when_the_heartbeat_ends_or_is_of_another_run(tmp_path):
    """It must not spend money beside the next run."""
    folder, now = Folder(tmp_path), [0.0]
    HeartbeatWriter(folder, "mine").publish()
    reader = HeartbeatReader(folder, "mine", clock=lambda: now[0])
    assert not reader.poll().cut
    now[0] = 29.0
    assert not reader.poll().cut
    now[0] = 31.0
    assert reader.poll().cut
    HeartbeatWriter(folder, "another").publish()
    assert reader.poll().cut


def test_the_next_run_waits_until_the_workers_of_a_dead_run_have_stopped(tmp_path):
    """It does not wait where that run ended normally, or long ago."""
    folder, slept, said = Folder(tmp_path), [], []
    wait_for_orphaned_workers(folder, notify=said.append, sleep=slept.append)
    HeartbeatWriter(folder, "dead").publish()
    wait_for_orphaned_workers(folder, notify=said.append, sleep=slept.append)
    assert [seconds > 30 for seconds in slept] == [True]
    assert "waiting 34 s" in said[0]
    wait_for_orphaned_workers(folder, notify=said.append, clock=lambda: time.time() + 3600, sleep=slept.append)
    HeartbeatWriter(folder, "dead").publish(over=True)
    wait_for_orphaned_workers(folder, notify=said.append, sleep=slept.append)
    assert len(slept) == 1


def test_a_worker_that_lost_its_shard_sends_nothing_more(tmp_path, monkeypatch):
    """Another worker has taken over: there is another ledger beside its own."""
    monkeypatch.setattr("imagen_batch.workers.worker.EVERY_S", 0.05)
    with Simulator(latency=0.2) as sim, open_run(plan(many_prompts(tmp_path, 40), sim, concurrency=2), env={}) as run:
        with coordinating(run, slots=lambda: 1) as coordinator:
            (task,) = coordinator.next_tasks()
            reports = []
            first = threading.Thread(target=lambda: reports.append(run_shard(task, env={})))
            first.start()
            while sim.bill.total < 1:
                time.sleep(0.01)
            folder = run.context.store.storage
            folder.log(f".imagen-batch/ledger/{task.job.id}/000001/another-worker.jsonl").close()
            first.join(10)
            assert not first.is_alive()
            assert len(reports[0].samples) < SMALL
        run.finish()


def test_a_heartbeat_of_another_form_is_ignored(tmp_path):
    """It is not taken for that of the run."""
    folder = Folder(tmp_path)
    folder.put(".imagen-batch/writer.json", b'{"run": "mine", "other": 1}')
    assert read_heartbeat(folder) is None
    assert Heartbeat("mine").share == 1.0
