"""Damage is named by file, line and byte, and a skip record counts for the whole ledger."""

import orjson
import pytest

from imagen_batch.errors import LedgerDamaged
from imagen_batch.ledger.damage import damaged_lines, skip_record
from imagen_batch.ledger.history import read_history
from imagen_batch.ledger.reader import read_records
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.storage import LEDGER, Folder

CLAIM = orjson.dumps({"t": "claim", "run": "r", "shard": 1}) + b"\n"


def test_the_line_is_counted_from_one(tmp_path, monkeypatch):
    """This also holds where the lines before it are counted in several blocks."""
    monkeypatch.setattr("imagen_batch.ledger.damage._BLOCK", 100)
    path = tmp_path / "1.jsonl"
    for before in (0, 1, 40):
        path.write_bytes(CLAIM * before + b"{}\n")
        with pytest.raises(LedgerDamaged) as caught:
            list(read_records(tmp_path))
        assert (caught.value.line, caught.value.offset) == (before + 1, len(CLAIM) * before)


def test_every_damaged_line_is_found_with_its_place(tmp_path):
    """An incomplete last line is not one."""
    path = tmp_path / "1.jsonl"
    path.write_bytes(CLAIM + b"{}\n" + CLAIM + b"null\n" + b"{")
    found = [(damage.line, damage.offset, line) for damage, line in damaged_lines(tmp_path)]
    assert found == [(2, len(CLAIM), b"{}\n"), (4, 2 * len(CLAIM) + 3, b"null\n")]


def test_a_skip_record_of_the_run_holds_for_a_worker_s_file(tmp_path):
    """A repair writes its records into the run's ledger, not into the worker's folder."""
    worker = tmp_path / LEDGER / "job" / "0001"
    worker.mkdir(parents=True)
    (worker / "5.jsonl").write_bytes(CLAIM + b"{}\n")
    with pytest.raises(LedgerDamaged):
        read_history(worker)
    ((damage, line),) = damaged_lines(tmp_path / LEDGER)
    writer = LedgerWriter(Folder(tmp_path), now=2.0)
    writer.record_skip(skip_record(damage, line))
    writer.close()
    assert read_history(worker).attempts == 0
    assert list(damaged_lines(tmp_path / LEDGER)) == []


def test_a_skip_record_names_one_place_only(tmp_path):
    """Another offset, file or content stays damage."""
    writer = LedgerWriter(Folder(tmp_path), now=2.0)
    path = tmp_path / LEDGER / "1.jsonl"
    path.write_bytes(b"{}\n")
    ((damage, line),) = damaged_lines(tmp_path / LEDGER)
    record = skip_record(damage, line)
    for wrong in ({"file": "2.jsonl"}, {"offset": 1}, {"sha256": "00" * 32}):
        writer.record_skip(record | wrong)
    assert len(list(damaged_lines(tmp_path / LEDGER))) == 1
    writer.record_skip(record)
    assert list(damaged_lines(tmp_path / LEDGER)) == []
    writer.close()
