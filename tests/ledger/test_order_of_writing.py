"""Data is on disk before its record counts, and logs are read in the order of writing."""

import pytest

from imagen_batch.ledger.files import ledger_files, time_after
from imagen_batch.ledger.reader import read_records
from imagen_batch.ledger.records import OtherRecord
from imagen_batch.ledger.writer import LedgerWriter, open_writer
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace


class WatchedFolder(Folder):
    """A folder that records which names were flushed."""

    def __init__(self, path):
        super().__init__(path)
        self.synced = []

    def sync(self, names):
        self.synced.append(sorted(names))


@pytest.fixture(name="storage")
def _storage(tmp_path):
    return WatchedFolder(tmp_path)


def test_a_claim_is_on_disk_when_it_is_made(tmp_path, storage):
    """An earlier owner of the shard sees it."""
    writer = LedgerWriter(storage, now=1.0)
    writer.claim("job", 7)
    (record,) = read_records(tmp_path / LEDGER)
    assert isinstance(record, OtherRecord)
    assert record.t == "claim"
    assert b'"run":"job","shard":7' in (tmp_path / writer.name).read_bytes()
    writer.close()


def test_directory_entries_of_images_are_flushed_before_their_record(tmp_path, storage, monkeypatch):
    """A record of an image that a crash takes away would be a lie. Samples without a file flush nothing."""
    writer = LedgerWriter(storage, now=1.0)
    sizes = []
    monkeypatch.setattr(
        storage, "sync", lambda names: sizes.append((sorted(names), (tmp_path / writer.name).stat().st_size))
    )
    samples = (ok(1, file="images/a.png"), ok(2, file="images/b.png"), ok(3, status="failed", file=None, sha256=None))
    writer.record_result(request(1), samples, trace(request(1).key))
    assert sizes == [(["images/a.png", "images/b.png"], 0)]
    writer.record_sent(request(2), attempt=1, at=1.0)
    assert sizes[1][0] == []
    writer.close()


def test_a_recovered_result_waits_for_the_next_flush(tmp_path, storage):
    """It is marked, and its images are flushed with it."""
    writer = LedgerWriter(storage, now=1.0)
    writer.record_result(request(1), (ok(),), trace(request(1).key), recovered=True, maybe_usd=0.5)
    assert list(read_records(tmp_path / LEDGER)) == []
    writer.flush()
    line = (tmp_path / writer.name).read_bytes()
    assert b'"recovered":true' in line
    assert b'"maybe_usd":0.5' in line
    assert storage.synced == [["images/a.png"]]
    writer.record_result(request(2), (ok(),), trace(request(2).key))
    assert b"recovered" not in (tmp_path / writer.name).read_bytes()[len(line) :]
    writer.close()
    writer.close()


def test_records_that_a_full_disk_refused_are_written_first_later(tmp_path, storage, monkeypatch):
    """They are written in their order, with their images."""
    writer = LedgerWriter(storage, now=1.0)
    append = writer._log.append

    def full(_data):
        writer.record_ended(request(3), attempt=1, at=1.0, facts={"kind": "x", "status": None, "charged": "no"})
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer._log, "append", full)
    with pytest.raises(OSError, match="No space"):
        writer.record_result(request(1), (ok(),), trace(request(1).key))
    monkeypatch.setattr(writer._log, "append", append)
    writer.record_sent(request(2), attempt=1, at=1.0)
    keys = [getattr(record, "key", None) for record in read_records(tmp_path / LEDGER)]
    assert keys == [request(1).key, request(3).key, request(2).key]
    assert storage.synced[-1] == ["images/a.png"]
    writer.close()


def test_a_new_log_is_named_a_millisecond_after_the_latest(tmp_path, storage):
    """It has the current time in its name, unless a clock that was ahead named the latest one."""
    assert time_after([], 5.0) == 5.0
    assert time_after(["x/0000000007.500-ab.jsonl", "0000000006.000-cd.jsonl"], 5.0) == pytest.approx(7.501)
    assert time_after(["x/0000000004.000-ab.jsonl", "odd-name.jsonl"], 5.0) == 5.0
    ahead = LedgerWriter(storage, now=99_999_999_999.0)
    ahead.close()
    later = open_writer(storage)
    later.close()
    assert [path.name for path in ledger_files(tmp_path / LEDGER)] == [
        name.rpartition("/")[2] for name in (ahead.name, later.name)
    ]
    assert later.name.startswith(f"{LEDGER}/99999999999.001-")
    below = open_writer(storage, below=f"{LEDGER}/job")
    below.close()
    assert below.name.startswith(f"{LEDGER}/job/0")
