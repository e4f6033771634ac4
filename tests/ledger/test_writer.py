"""Records are read back as they were written, and only complete ones count."""

import errno
import os
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagen_batch.ledger.files import time_after
from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.records import SampleResult
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace

REFUSED = {"kind": "http_503", "status": 503, "charged": "no"}
LOST = {"kind": "timeout", "status": None, "charged": "maybe"}


def _folder(path):
    """Return a folder with the image that the records name."""
    folder = Folder(path)
    folder.put("images/a.png", b"")
    return folder


@pytest.fixture
def ledger(tmp_path):
    """Yield a new ledger."""
    writer = LedgerWriter(_folder(tmp_path), now=1.0)
    yield writer
    writer.close()


def test_a_result_is_read_back_whole(tmp_path, ledger):
    """Sample and trace are those that were recorded."""
    one = request(1)
    sample = ok(c2pa=True, filter_codes=("1", "2"), safety='{"a": 1}', width=3, sha256="ff")
    ledger.record_sent(one, attempt=1, at=10.0)
    ledger.record_result(one, (sample,), trace(one.key))
    assert read_history(tmp_path / LEDGER).details(one.base, 1) == (sample, trace(one.key))


def test_the_facts_of_a_reply_are_read_back_with_its_result(tmp_path, ledger):
    """Those that the service did not state are not in the record."""
    facts = replace(trace(request(1).key), model_version="m-001", response_id="abc", output_tokens=0, run_id="r1")
    ledger.record_result(request(1), (ok(),), facts)
    ledger.flush()
    details = read_history(tmp_path / LEDGER).details(request(1).base, 1)
    assert details == (ok(), facts)
    [line] = [line for path in (tmp_path / LEDGER).iterdir() for line in path.read_bytes().splitlines()]
    assert b"prompt_tokens" not in line


def test_an_attempt_without_an_end_is_unknown(tmp_path, ledger):
    """It may have been charged."""
    ledger.record_sent(request(1), attempt=1, at=10.0)
    history = read_history(tmp_path / LEDGER)
    assert history.status(request(1).base, 1) == "unknown"
    assert history.cost_bounds().upper_bound == pytest.approx(0.04)
    assert history.cost_bounds().spent == 0


def test_a_refused_attempt_leaves_the_sample_pending(tmp_path, ledger):
    """Nothing was charged, and there is no image."""
    ledger.record_sent(request(1), attempt=1, at=10.0)
    ledger.record_ended(request(1), attempt=1, at=11.0, facts=REFUSED)
    ledger.record_sent(request(2), attempt=1, at=11.0)
    history = read_history(tmp_path / LEDGER)
    assert history.status(request(1).base, 1) is None
    assert history.previous_attempts(request(1)) == 1


def test_a_lost_reply_stays_unknown_until_a_later_attempt_has_a_result(tmp_path, ledger):
    """Its price stays in the upper bound after that."""
    one = request(1)
    ledger.record_sent(one, attempt=1, at=10.0)
    ledger.record_ended(one, attempt=1, at=11.0, facts=LOST)
    ledger.record_sent(one, attempt=2, at=11.0)
    assert read_history(tmp_path / LEDGER).status(one.base, 1) == "unknown"
    ledger.record_result(one, (ok(),), trace(one.key, attempts=2))
    history = read_history(tmp_path / LEDGER)
    assert history.status(one.base, 1) == "ok"
    assert history.cost_bounds().upper_bound == pytest.approx(0.08)


def test_a_killed_attempt_keeps_its_price_when_it_is_sent_again(tmp_path, ledger):
    """Two attempts brought one image: between one and two prices were charged."""
    one = request(1)
    ledger.record_sent(one, attempt=1, at=10.0)
    again = LedgerWriter(_folder(tmp_path), now=2.0)
    again.record_sent(one, attempt=2, at=20.0)
    again.record_result(one, (ok(),), trace(one.key, attempts=2))
    again.close()
    money = read_history(tmp_path / LEDGER).cost_bounds()
    assert (money.spent, money.upper_bound) == (pytest.approx(0.04), pytest.approx(0.08))


def test_what_is_ok_stays_ok(tmp_path, ledger):
    """A later failure of the same sample does not remove its image."""
    one = request(1)
    ledger.record_result(one, (ok(),), trace(one.key))
    ledger.record_result(one, (SampleResult(1, "failed"),), trace(one.key))
    assert read_history(tmp_path / LEDGER).status(one.base, 1) == "ok"


@settings(deadline=None)
@given(cut=st.integers(min_value=0, max_value=400))
def test_an_incomplete_last_line_does_not_count(tmp_path_factory, cut):
    """Complete lines count wherever the file is cut; an incomplete one does not."""
    folder = tmp_path_factory.mktemp("ledger")
    writer = LedgerWriter(_folder(folder), now=1.0)
    for number in (1, 2, 3):
        writer.record_result(request(number), (ok(),), trace(request(number).key))
    writer.close()
    data = (folder / writer.name).read_bytes()
    complete = data[: max(0, len(data) - cut)]
    (folder / writer.name).write_bytes(complete)
    history = read_history(folder / LEDGER)
    statuses = [history.status(request(number).base, 1) for number in (1, 2, 3)]
    assert statuses.count("ok") == complete.count(b"\n")


def test_threads_that_append_together_lose_nothing(tmp_path, ledger):
    """Each record of 8 threads is on disk when its call returns."""

    def work(start):
        for number in range(start, start + 50):
            ledger.record_sent(request(number), attempt=1, at=0.0)
            assert request(number).key.encode() in (tmp_path / ledger.name).read_bytes()

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_history(tmp_path / LEDGER).attempts == 400


def test_threads_that_append_at_the_same_time_share_one_flush(tmp_path, ledger, monkeypatch):
    """While one record is written, those of seven threads wait; all of them are in the next append."""
    log, appends, writing, proceed = ledger._log, [], threading.Event(), threading.Event()
    append = log.append

    def slow(data):
        appends.append(data.count(b"\n"))
        if len(appends) == 1:
            writing.set()
            assert proceed.wait(10)
        append(data)

    monkeypatch.setattr(log, "append", slow)
    threads = [
        threading.Thread(target=lambda number=number: ledger.record_sent(request(number), attempt=1, at=0.0))
        for number in range(8)
    ]
    threads[0].start()
    assert writing.wait(10)
    for thread in threads[1:]:
        thread.start()
    while ledger._queued < 8:
        time.sleep(0.001)
    proceed.set()
    for thread in threads:
        thread.join(10)
    assert appends == [1, 7]
    assert read_history(tmp_path / LEDGER).attempts == 8


def test_a_record_that_is_stored_already_is_not_flushed_again(ledger, monkeypatch):
    """A flush without waiting records appends nothing."""
    ledger.record_sent(request(1), attempt=1, at=0.0)
    appends = []
    monkeypatch.setattr(ledger._log, "append", appends.append)
    ledger.flush()
    assert appends == []


def test_an_empty_folder_is_an_empty_history(tmp_path):
    """A first run has no ledger."""
    history = read_history(tmp_path / "none")
    assert history.status(request(1).base, 1) is None
    assert history.cost_bounds().upper_bound == 0


def test_a_write_that_fails_midway_leaves_no_half_line(tmp_path, ledger, monkeypatch):
    """The disk was full for a moment: the record is written whole by the next flush."""
    write, calls = os.write, []

    def full(descriptor, data):
        calls.append(len(data))
        if len(calls) == 1:
            write(descriptor, data[:20])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr("imagen_batch.storage.folder.os.write", full)
    with pytest.raises(OSError, match="No space"):
        ledger.record_result(request(1), (ok(),), trace(request(1).key))
    assert (tmp_path / ledger.name).read_bytes() == b""
    ledger.flush()
    assert read_history(tmp_path / LEDGER).status(request(1).base, 1) == "ok"


def test_a_ledger_that_can_not_be_flushed_still_closes(tmp_path, monkeypatch):
    """The run's summary is still printed."""
    writer = LedgerWriter(_folder(tmp_path), now=1.0)
    writer.record_ended(request(1), attempt=1, at=1.0, facts=REFUSED)

    def full(_descriptor, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("imagen_batch.storage.folder.os.write", full)
    writer.close()
    assert read_history(tmp_path / LEDGER).attempts == 0


@given(
    st.lists(st.floats(0, 1e10).map(lambda at: f"a/{at:015.3f}-abcdef01.jsonl") | st.just("b/odd.jsonl")),
    st.floats(0, 1e10),
)
def test_a_new_ledger_comes_after_all_that_are_there(names, now):
    """Clocks of machines differ, but a result is never read before its attempt."""
    moment = time_after(names, now)
    assert moment >= now
    assert all(
        f"{moment:015.3f}" > name[2:17] for name in names if name != "b/odd.jsonl" and float(name[2:17]) >= now
    )
