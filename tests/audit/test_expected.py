"""All that was ever recorded is found, and what is not about an attempt is passed over."""

from imagen_batch.audit.expected import read_recorded
from imagen_batch.ledger.writer import LedgerWriter
from imagen_batch.storage import LEDGER, Folder
from tests.support.factories import ok, request, trace


def test_a_claim_is_about_no_attempt(tmp_path):
    """A worker's ledger begins with one: files and lost attempts are found all the same."""
    folder = Folder(tmp_path)
    folder.put("images/a.png", b"")
    writer = LedgerWriter(folder, now=1.0)
    writer.claim("a" * 32, 1)
    writer.done(request(1), (ok(sha256="ff"),), trace(request(1).key))
    writer.sent(request(2), attempt=1, at=2.0)
    writer.close()
    recorded = read_recorded(folder.logs(LEDGER))
    assert recorded.files == {"images/a.png": b"\xff"}
    assert {slot: risk.attempts for slot, risk in recorded.risks.items()} == {(request(2).base, 1): 1}
