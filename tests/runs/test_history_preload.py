"""A history that is read in another process is the same, and reading it can continue."""

from unittest.mock import patch

from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.runs import history_preload
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace


def _record(folder, number):
    writer = LedgerWriter(folder, now=float(number))
    writer.record_result(request(number), (ok(),), trace(request(number).key))
    writer.close()


def test_records_written_in_between_are_read_afterwards(tmp_path):
    """No record is counted twice or left out."""
    folder = Folder(tmp_path)
    folder.put("images/a.png", b"")
    _record(folder, 1)
    with patch.object(history_preload, "_MIN_BYTES", 1):
        reading = history_preload.preload_history(str(tmp_path))
    assert reading is not None
    history = reading.result(timeout=60)
    _record(folder, 2)
    history.read_folder(folder.logs(LEDGER))
    assert history.images_recorded == 2
    assert [history.status(request(number).base, 1) for number in (1, 2, 3)] == ["ok", "ok", None]
    assert history.details(request(1).base, 1) == (ok(), trace(request(1).key))


def test_a_short_history_is_not_worth_a_process(tmp_path):
    """Reading it takes less time than starting the process; a first run has no history."""
    assert history_preload.preload_history(str(tmp_path)) is None
    assert history_preload.preload_history("s3://bucket/run") is None
