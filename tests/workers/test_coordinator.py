"""Shards made by other processes: nothing is lost, paid twice or over a limit, whoever dies in between."""

import json
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait

import pytest

from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.planning.plan import make_plan
from imagen_batch.runs.heartbeat import (
    Heartbeat,
    HeartbeatReader,
    HeartbeatWriter,
    read_heartbeat,
    wait_for_orphaned_workers,
)
from imagen_batch.runs.run import open_run
from imagen_batch.settings import validated
from imagen_batch.simulator import Simulator
from imagen_batch.storage import Folder
from imagen_batch.workers.allocation import Limits
from imagen_batch.workers.coordinator import coordinating
from imagen_batch.workers.messages import JobSpec, ShardReport, ShardTask
from imagen_batch.workers.worker import run_shard
from tests.support.runs import TODAY, Ran, prompts
from tests.support.storages import new_place

_processes = multiprocessing.get_context("forkserver")
SMALL = 5  # requests in a shard


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """So that few prompts are several shards."""
    monkeypatch.setattr("imagen_batch.runs.run.shard_size", lambda _requests: SMALL)


def plan(source, sim, **chosen):
    """What is asked for."""
    settings = {
        "prompts": str(source),
        "out": str(source.parent / "out"),
        "provider": "simulator",
        "base_url": sim.url,
        "wait_initial": 0.0,
        "concurrency": 8,
        **chosen,
    }
    return make_plan(validated(settings), today=TODAY)


def made_in_threads(source, sim, *, slots=2, **chosen):
    """A whole run with workers that are threads here: packed, unpacked, made, packed, unpacked."""

    def work(ticket):
        return ShardReport.unpacked(
            run_shard(ShardTask.unpacked(ticket.packed()), env={}, sleep=lambda _: None).packed()
        )

    with open_run(plan(source, sim, **chosen), env={}) as run, ThreadPoolExecutor(slots) as workers:
        with coordinating(run, slots=lambda: slots) as dispatch:
            while in_flight := [(ticket, workers.submit(work, ticket)) for ticket in dispatch.ready()]:
                for ticket, future in in_flight:
                    dispatch.landed(ticket, future.result())
        return Ran(run.finish(), source.parent / "out")


@pytest.fixture
def sim():
    """A service that behaves."""
    with Simulator() as simulator:
        yield simulator


def many(tmp_path, count=23):
    """A prompt file of several shards."""
    return prompts(tmp_path, *(f"prompt {number}" for number in range(count)))


def test_a_run_is_made_by_others(tmp_path, sim):
    """In shards, each with a ledger of its own; a second run sends nothing."""
    ran = made_in_threads(many(tmp_path), sim)
    assert ran.statuses == ["ok"] * 23
    ledgers = list((ran.folder / ".imagen-batch" / "ledger").rglob("*.jsonl"))
    assert len(ledgers) == 1 + 5
    again = made_in_threads(many(tmp_path), sim)
    assert len(sim.requests) == 23
    assert again.rows == ran.rows


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_workers_and_run_can_share_a_bucket(tmp_path, sim, request, kind):
    """Pictures, ledgers and the run's word are there."""
    place = new_place(kind, tmp_path, request)
    summary = made_in_threads(many(tmp_path, 8), sim, out=place).summary
    assert summary.counts["ok"] == 8


def test_an_error_that_stops_one_worker_stops_the_run(tmp_path):
    """And says so; the others' rows stay pending."""
    with Simulator(faults=[{"match": "prompt 7", "fault": "prepay_empty"}]) as sim:
        summary = made_in_threads(many(tmp_path), sim, concurrency=2).summary
    assert summary.exit_code == 2
    assert "balance" in summary.stopped_by or "credit" in summary.stopped_by
    assert summary.counts["not_attempted"] > 0


@pytest.mark.parametrize("limit", [{"max_images": 9}, {"max_cost": 0.31, "price": 0.03}])
def test_the_wall_of_a_run_is_its_workers_wall(tmp_path, sim, limit):
    """Parts of it that a shard did not need go to the next one, and the end is a budget's."""
    ran = made_in_threads(many(tmp_path), sim, slots=3, **limit)
    most = 9 if "max_images" in limit else 10
    assert ran.statuses.count("ok") == sim.bill.total == most
    assert ran.statuses.count("skipped_budget") == 23 - most
    assert ran.summary.exit_code == 6


def test_what_a_failure_gave_back_is_used(tmp_path):
    """Refused prompts cost nothing: what their shard held makes others' pictures in a further round."""
    with Simulator(faults=[{"match": {"regex": "prompt [0-4]$"}, "fault": "prompt_refused_400"}]) as sim:
        ran = made_in_threads(many(tmp_path), sim, max_images=18)
    assert ran.statuses.count("ok") == 18


def test_a_further_round_leaves_alone_what_had_its_turn(tmp_path):
    """Replies were lost for one row, a worker for another's shard: only the shard is made again by this run."""
    faults = [{"match": "prompt 7", "fault": "reset"}]
    with Simulator(faults=faults) as sim, open_run(plan(many(tmp_path), sim, max_attempts=2), env={}) as run:
        with coordinating(run, slots=lambda: 1) as dispatch:
            (first,) = dispatch.ready()
            dispatch.lost(first)
            while tickets := list(dispatch.ready()):
                for ticket in tickets:
                    dispatch.landed(ticket, run_shard(ticket, env={}, sleep=lambda _: None))
        ran = Ran(run.finish(), tmp_path / "out")
        assert len([one for one in sim.requests if b"prompt 7" in one.body]) == 2
    assert ran.statuses == ["ok"] * 7 + ["unknown"] + ["ok"] * 15


class Killed(BaseException):
    """The worker is gone before the ledger has a record."""


def test_pictures_that_a_lost_worker_had_received_are_not_paid_for_again(tmp_path, sim, monkeypatch):
    """They lie there without a record: whoever takes the shard over saves them first."""
    with open_run(plan(many(tmp_path, 12), sim), env={}) as run:
        with coordinating(run, slots=lambda: 1, sleep=lambda _: None) as dispatch:
            (first,) = dispatch.ready()
            with monkeypatch.context() as patch:
                patch.setattr(LedgerWriter, "done", _killed)
                with pytest.raises(Killed):
                    run_shard(first, env={})
            dispatch.lost(first)
            while tickets := list(dispatch.ready()):
                for ticket in tickets:
                    dispatch.landed(ticket, run_shard(ticket, env={}, sleep=lambda _: None))
        ran = Ran(run.finish(), tmp_path / "out")
    assert ran.statuses == ["ok"] * 12
    assert sim.bill.total == 12


def _killed(*_given, **_named):
    raise Killed


def test_a_shard_that_is_taken_over_does_not_ask_again_what_had_its_turn(tmp_path):
    """All attempts for a row were lost and told: the next worker leaves it, as the next round would."""
    with Simulator(faults=[{"match": "prompt 3", "fault": "reset"}]) as sim:
        with open_run(plan(many(tmp_path, 5), sim, max_attempts=2), env={}) as run:
            with coordinating(run, slots=lambda: 1) as dispatch:
                (ticket,) = dispatch.ready()
                run_shard(ticket, env={})
                report = run_shard(ticket, env={}, sleep=lambda _: None)
            run.finish()
        assert len([one for one in sim.requests if b"prompt 3" in one.body]) == 2
    assert sorted(sample.status for sample in report.samples) == ["ok"] * 4 + ["unknown"]


def _serve(connection):
    """A worker process: makes one shard after the other until it is told to end."""
    while packed := connection.recv():
        connection.send(run_shard(ShardTask.unpacked(packed), env={}, sleep=lambda _: time.sleep(0.1)).packed())


class Worker:
    """A process that makes shards, and the ticket it has."""

    def __init__(self):
        self.connection, theirs = _processes.Pipe()
        self.process = _processes.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self.ticket = None

    def give(self, ticket):
        """Make this."""
        self.ticket = ticket
        self.connection.send(ticket.packed())


@pytest.mark.parametrize("reassigned", [True, False], ids=["its shard goes to another worker", "its shard is lost"])
def test_a_worker_that_is_killed_loses_nothing(tmp_path, reassigned):
    """Only what was under way in it may be paid for again, and is told as perhaps charged."""
    with Simulator(latency=0.15) as sim, open_run(plan(many(tmp_path, 40), sim, concurrency=4), env={}) as run:
        workers = [Worker(), Worker()]
        with coordinating(run, slots=lambda: len(workers)) as dispatch:
            _drive(dispatch, workers, sim, reassigned)
        ran = Ran(run.finish(), tmp_path / "out")
        assert ran.statuses == ["ok"] * 40
        surplus, cut_off = sim.bill.total - 40, _cut_off(ran.folder)
        assert surplus <= cut_off <= 4, "only what was under way in the dead worker"
        assert sim.stats["in_flight_max"] <= 4
        assert ran.summary.cost_high_usd - ran.summary.cost_low_usd >= surplus * 0.03
        assert len(list((ran.folder / "images").iterdir())) == 40
        for worker in workers:
            worker.connection.send(None)
            worker.process.join(10)


def _cut_off(folder):
    """Attempts that no ledger knows the end of."""
    records = [json.loads(line) for log in (folder / ".imagen-batch").rglob("*.jsonl") for line in _lines(log)]
    ended = {(one["key"], one["attempt"]) for one in records if one["t"] in ("back", "done")}
    return sum(one["t"] == "sent" and (one["key"], one["attempt"]) not in ended for one in records)


def _lines(log):
    """Whole lines: a torn last one never counted."""
    return log.read_bytes().rpartition(b"\n")[0].splitlines()


def _drive(dispatch, workers, sim, reassigned):
    """Hand tickets out and take reports in; kill the first worker midway."""
    killed, waiting = False, []
    while True:
        waiting += dispatch.ready()
        for worker in workers:
            if worker.ticket is None and waiting:
                worker.give(waiting.pop(0))
        busy = [worker for worker in workers if worker.ticket]
        if not busy:
            return
        if not killed and workers[0].ticket and sim.bill.total >= 12:
            killed = True
            os.kill(workers[0].process.pid, signal.SIGKILL)
        for connection in wait([worker.connection for worker in busy], timeout=0.02):
            (worker,) = (one for one in busy if one.connection is connection)
            try:
                dispatch.landed(worker.ticket, ShardReport.unpacked(connection.recv()))
            except (EOFError, ConnectionResetError):  # gone, with or without a ticket it had not read yet
                workers.remove(worker)
                waiting += [worker.ticket] if reassigned else []
                if not reassigned:
                    dispatch.lost(worker.ticket)
            worker.ticket = None


def test_a_worker_in_another_folder_is_told(tmp_path, sim):
    """It would make pictures that nobody finds."""
    job = _ticket(tmp_path, sim)
    report = run_shard(job, env={})
    assert "workers have to share it" in str(report.error)
    assert not sim.requests


def _ticket(tmp_path, sim):
    """A ticket whose run never spoke here."""
    asked = plan(many(tmp_path), sim)
    return ShardTask(JobSpec("nobody", asked.settings, sim.url, asked.models()), 1, (), Limits(), 1.0)


def test_the_run_says_what_it_wants_and_is_heard(tmp_path):
    """A share, a stop, and that it is over."""
    folder = Folder(tmp_path)
    control = HeartbeatWriter(folder, "mine", every=1000)
    with control.speaking():
        ear = HeartbeatReader(folder, "mine")
        control.say(share=0.25)
        assert ear.listen().share == 0.25
        assert not ear.listen().stop
        control.say(stop=True)
        assert (ear.listen().stop, ear.listen().cut) == (True, False)
    assert ear.listen().cut
    assert read_heartbeat(folder).over


def test_a_worker_whose_run_is_silent_or_another_stops_at_once(tmp_path):
    """Nobody pays beside the next run."""
    folder, now = Folder(tmp_path), [0.0]
    HeartbeatWriter(folder, "mine").say()
    ear = HeartbeatReader(folder, "mine", clock=lambda: now[0])
    assert not ear.listen().cut
    now[0] = 29.0
    assert not ear.listen().cut
    now[0] = 31.0
    assert ear.listen().cut
    HeartbeatWriter(folder, "another").say()
    assert ear.listen().cut


def test_the_next_run_waits_until_a_dead_run_s_workers_have_noticed(tmp_path):
    """Not where the run ended in order, or is long dead."""
    folder, slept, said = Folder(tmp_path), [], []
    wait_for_orphaned_workers(folder, say=said.append, sleep=slept.append)
    HeartbeatWriter(folder, "dead").say()
    wait_for_orphaned_workers(folder, say=said.append, sleep=slept.append)
    assert [seconds > 30 for seconds in slept] == [True]
    assert "waiting 34 s" in said[0]
    wait_for_orphaned_workers(folder, say=said.append, clock=lambda: time.time() + 3600, sleep=slept.append)
    HeartbeatWriter(folder, "dead").say(over=True)
    wait_for_orphaned_workers(folder, say=said.append, sleep=slept.append)
    assert len(slept) == 1


def test_a_worker_that_was_taken_for_dead_sends_nothing_more(tmp_path, monkeypatch):
    """Its shard is somebody else's now: it finds another ledger beside its own."""
    monkeypatch.setattr("imagen_batch.workers.worker.EVERY_S", 0.05)
    with Simulator(latency=0.2) as sim, open_run(plan(many(tmp_path, 40), sim, concurrency=2), env={}) as run:
        with coordinating(run, slots=lambda: 1) as dispatch:
            (ticket,) = dispatch.ready()
            reports = []
            first = threading.Thread(target=lambda: reports.append(run_shard(ticket, env={})))
            first.start()
            while sim.bill.total < 1:
                time.sleep(0.01)
            folder = run.context.store.storage
            folder.log(f".imagen-batch/ledger/{ticket.job.id}/000001/somebody-else.jsonl").close()
            first.join(10)
            assert not first.is_alive()
            assert len(reports[0].samples) < SMALL
        run.finish()


def test_words_of_a_version_to_come_are_no_words(tmp_path):
    """A file that says something else is not taken for the run's."""
    folder = Folder(tmp_path)
    folder.put(".imagen-batch/control.json", b'{"run": "mine", "other": 1}')
    assert read_heartbeat(folder) is None
    assert Heartbeat("mine").share == 1.0
