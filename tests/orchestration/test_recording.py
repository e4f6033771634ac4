"""A run is recorded in Prefect step by step, and a step that is repeated records nothing twice."""

import json
import os
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from imagen_batch.orchestration.recording.end_state import EndState
from imagen_batch.orchestration.recording.flow_run import FlowRunRecord
from imagen_batch.orchestration.recording.prefect_api import PrefectApi, Refused, Unavailable, needs_login
from imagen_batch.orchestration.recording.run_snapshot import Ending, RunSnapshot, ShardSnapshot, _choose_tags
from imagen_batch.orchestration.recording.unrecorded_runs import keep_unrecorded, record_unrecorded
from imagen_batch.settings import make_settings
from imagen_batch.system.file_lock import hold_file_lock
from tests.support.fake_prefect import FakeServer

ENDING = Ending(EndState("COMPLETED", "Completed", "2 ok"), 30.0, "# finished", "file:///x/manifest.csv", [])


def _snapshot(*shards, ending=None, key="k"):
    return RunSnapshot(
        key=key,
        title="book.csv",
        name="book",
        parameters={"settings": {}},
        started=10.0,
        images=4,
        finished=2,
        warnings=["line 3 is odd"],
        shards=list(shards),
        ending=ending,
    )


def test_a_flow_run_is_tagged_with_its_job_and_its_machine():
    """As runs of deployments are."""
    server = FakeServer()
    settings = make_settings({"prompts": "book.csv", "name": "nightly"})
    tags = _choose_tags(settings)
    assert tags == ["nightly", f"host:{socket.gethostname()}"]
    FlowRunRecord(server).update(replace(_snapshot(), tags=tags))
    assert server.tags == ["imagen-batch", *tags]


def test_a_snapshot_of_an_earlier_version_has_no_tags():
    """It is recorded all the same."""
    values = json.loads(_snapshot(ending=ENDING).to_json())
    del values["tags"]
    assert RunSnapshot.from_json(json.dumps(values)) == _snapshot(ending=ENDING)


def test_a_snapshot_survives_a_file():
    """Writing and reading returns an equal snapshot."""
    snapshot = _snapshot(
        ShardSnapshot(1, 2, 11.0, 12.5), ShardSnapshot(2, 2, 12.0, error="ValueError()"), ending=ENDING
    )
    assert RunSnapshot.from_json(snapshot.to_json()) == snapshot


def test_shards_become_task_runs_with_the_true_times_in_their_logs():
    """Some ended before the server was up, others continue."""
    server = FakeServer()
    record = FlowRunRecord(server)
    record.update(_snapshot(ShardSnapshot(1, 2, 11.0, 12.0), ShardSnapshot(2, 2, 12.0)))
    assert list(server.states.values()) == [["PENDING", "RUNNING"], ["RUNNING", "COMPLETED"], ["RUNNING"]]
    record.close(_snapshot(ShardSnapshot(1, 2, 11.0, 12.0), ShardSnapshot(2, 2, 12.0, 20.0, "Boom()"), ending=ENDING))
    assert list(server.states.values()) == [
        ["PENDING", "RUNNING", "COMPLETED"],
        ["RUNNING", "COMPLETED"],
        ["RUNNING", "FAILED"],
    ]
    assert [(line["timestamp"][11:19], line["message"]) for line in server.logs] == [
        ("00:00:10", "line 3 is odd"),
        ("00:00:11", "shard 1: 2 requests, started 1970-01-01 00:00:11 UTC"),
        ("00:00:12", "shard 1: 2 requests done in 1.0 s, 120 requests a minute"),
        ("00:00:12", "shard 2: 2 requests, started 1970-01-01 00:00:12 UTC"),
        ("00:00:20", "Boom()"),
        ("00:00:30", "2 ok"),
    ]
    assert [artifact["key"] for artifact in server.artifacts] == [
        "imagen-batch-progress-book",
        "imagen-batch-summary-book",
        "imagen-batch-manifest-book",
    ]


@pytest.mark.parametrize("call", range(1, 14))
def test_a_failed_call_is_repeated(call):
    """The states are the same as without the failure, and no task run is recorded twice."""
    server = FakeServer(failing=[call])
    record = FlowRunRecord(server)
    snapshot = _snapshot(ShardSnapshot(1, 2, 11.0, 12.0), ending=ENDING)
    try:
        record.close(snapshot)
    except Unavailable:
        record.close(snapshot)
    assert list(server.states.values()) == [["PENDING", "RUNNING", "COMPLETED"], ["RUNNING", "COMPLETED"]]


@pytest.mark.parametrize("calls", range(1, 12))
def test_another_process_continues_a_record(calls):
    """The first one ended after any of its calls."""
    server = FakeServer(failing=[calls])
    snapshot = _snapshot(ShardSnapshot(1, 2, 11.0, 12.0), ending=ENDING)
    with pytest.raises(Unavailable):
        FlowRunRecord(server).close(snapshot)
    FlowRunRecord(server).close(snapshot)
    FlowRunRecord(server).close(snapshot)
    assert list(server.states.values()) == [["PENDING", "RUNNING", "COMPLETED"], ["RUNNING", "COMPLETED"]]


@pytest.mark.parametrize(
    ("url", "env", "login"),
    [
        ("http://127.0.0.1:4200/api", {}, False),
        ("https://prefect.example/api", {}, True),
        ("http://me:secret@127.0.0.1:4200/api", {}, True),
        ("http://127.0.0.1:4200/api", {"PREFECT_API_AUTH_STRING": "me:secret"}, True),
        ("http://127.0.0.1:4200/api", {"PREFECT_API_KEY": "secret"}, True),
    ],
)
def test_a_login_is_left_to_prefects_client(url, env, login):
    """It supports all ways to log in."""
    assert needs_login(url, env) is login


class _Answers(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_args):
        """Print nothing."""


@pytest.fixture
def answering():
    """A server that answers with the status in the path."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_server_that_refuses_is_not_called_again_and_one_that_is_busy_is(answering):
    """A redirect is not followed."""
    api = PrefectApi(answering)
    assert api.post("/201", {}) == {}
    for status in (503, 429):
        with pytest.raises(Unavailable):
            api.post(f"/{status}", {})
    for status in (422, 403, 307):
        with pytest.raises(Refused):
            api.post(f"/{status}", {})
    with pytest.raises(Unavailable):
        PrefectApi("http://127.0.0.1:9").post("/201", {})


def test_an_unrecorded_snapshot_is_kept_until_a_server_accepts_it(tmp_path, monkeypatch):
    """A file that is not a snapshot, and one that the server refuses, do not block the others."""
    server = FakeServer()
    monkeypatch.setattr("imagen_batch.orchestration.recording.unrecorded_runs.PrefectApi", lambda _url: server)
    for key in ("a", "b"):
        keep_unrecorded(tmp_path, _snapshot(ending=ENDING, key=key))
    (tmp_path / "imagen-batch-unrecorded" / "c.json").write_text("[]")
    server.failing = {1}
    with pytest.raises(Unavailable):
        record_unrecorded(tmp_path, "http://x")
    assert len(list((tmp_path / "imagen-batch-unrecorded").iterdir())) == 3
    record_unrecorded(tmp_path, "http://x")
    assert list((tmp_path / "imagen-batch-unrecorded").iterdir()) == []
    assert list(server.states.values()) == [["PENDING", "RUNNING", "COMPLETED"]] * 2


def test_two_processes_do_not_record_at_once(tmp_path, monkeypatch):
    """The second one leaves its snapshot to the first."""
    monkeypatch.setattr("imagen_batch.orchestration.recording.unrecorded_runs.PrefectApi", lambda _url: FakeServer())
    keep_unrecorded(tmp_path, _snapshot(ending=ENDING))
    with hold_file_lock(tmp_path / "imagen-batch-recorder.lock", patience=0.0) as held:
        assert held
        record_unrecorded(tmp_path, "http://x")
        assert len(list((tmp_path / "imagen-batch-unrecorded").iterdir())) == 1
    record_unrecorded(tmp_path, "http://x")
    assert list((tmp_path / "imagen-batch-unrecorded").iterdir()) == []


def test_at_most_a_hundred_runs_are_kept_if_no_server_ever_starts(tmp_path):
    """The newest ones are kept."""
    for number in range(103):
        path = keep_unrecorded(tmp_path, _snapshot(ending=ENDING, key=f"{number:03}"))
        os.utime(path, (number, number))
    stored_ids = sorted(path.stem for path in (tmp_path / "imagen-batch-unrecorded").iterdir())
    assert (len(stored_ids), stored_ids[0], stored_ids[-1]) == (100, "003", "102")
    assert json.loads((tmp_path / "imagen-batch-unrecorded" / "102.json").read_text())["title"] == "book.csv"


def test_a_home_that_cannot_be_written_does_not_matter(tmp_path):
    """A run ends as usual."""
    (tmp_path / "imagen-batch-unrecorded").write_text("a file")
    assert keep_unrecorded(tmp_path, _snapshot(ending=ENDING)) is None
