"""The expected files and the attempts at risk are read from the ledger; records of other kinds are ignored."""

from imagen_batch.audit.expected import read_ledger_totals
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace


def test_a_claim_is_no_attempt(tmp_path):
    """The ledger of a worker begins with one; files and lost attempts are still found."""
    folder = Folder(tmp_path)
    folder.put("images/a.png", b"")
    writer = LedgerWriter(folder, now=1.0)
    writer.claim("a" * 32, 1)
    writer.record_result(request(1), (ok(sha256="ff"),), trace(request(1).key))
    writer.record_sent(request(2), attempt=1, at=2.0)
    writer.close()
    totals = read_ledger_totals(folder.logs(LEDGER))
    assert totals.files == {"images/a.png": b"\xff"}
    assert {slot: risk.attempts for slot, risk in totals.risks.items()} == {(request(2).base, 1): 1}
