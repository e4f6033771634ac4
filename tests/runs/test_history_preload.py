"""A past that is read in another process is the same past, and can be read on."""

from unittest.mock import patch

from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.runs import history_preload as ahead
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace


def _done(folder, number):
    writer = LedgerWriter(folder, now=float(number))
    writer.done(request(number), (ok(),), trace(request(number).key))
    writer.close()


def test_what_came_in_between_is_read_on(tmp_path):
    """Nothing of it counts twice, nothing is left out."""
    folder = Folder(tmp_path)
    folder.put("images/a.png", b"")
    _done(folder, 1)
    with patch.object(ahead, "_WORTH_IT", 1):
        reading = ahead.read_ahead(str(tmp_path))
    assert reading is not None
    past = reading.result(timeout=60)
    _done(folder, 2)
    past.read_folder(folder.logs(LEDGER))
    assert past.pictures == 2
    assert [past.status(request(number).base, 1) for number in (1, 2, 3)] == ["ok", "ok", None]
    assert past.details(request(1).base, 1) == (ok(), trace(request(1).key))


def test_a_short_past_is_not_worth_a_process(tmp_path):
    """It is read before such a process has started; a first run has none."""
    assert ahead.read_ahead(str(tmp_path)) is None
    assert ahead.read_ahead("s3://bucket/run") is None
